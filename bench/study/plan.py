"""A study file → its cells, each once, in the order of the file."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.study import file
from bench.study.cells import CONVERT, Cell
from bench.study.conversions import Conversions
from bench.study.evaluations import Evaluations
from bench.study.file import Study
from bench.study.pretrainings import Pretrainings
from bench.study.problems import Problems
from bench.study.words import fits, require_known
from pretrain.core.errors import ConfigError

ALWAYS = frozenset({"kind", "task", "protocol"})
"""Fields of a condition on cells that are no settings."""


@dataclass(frozen=True)
class StudyPlan:
    """Everything that a study file asks for."""

    path: Path
    study: Study
    cells: Mapping[str, Cell]
    """By id: the pre-trainings first, then the conversions, each in the order of the file."""
    shared: int
    """Pre-trainings that several blocks name."""
    doubles: int
    """Evaluations that are named more than once."""

    @property
    def home(self) -> Path:
        """Return the folder with attempts and logs."""
        return self.path.parent / self.study.study

    @property
    def pretrainings(self) -> list[Cell]:
        """Return the pre-trainings."""
        return [cell for cell in self.cells.values() if cell.needs is None and cell.subject is None]

    @property
    def evaluations(self) -> list[Cell]:
        """Return what is done with backbones, conversions aside."""
        return [cell for cell in self.cells.values() if cell.subject is not None and cell.kind != CONVERT]

    def find(self, name: str) -> Cell:
        """Find a cell by its id, the beginning of it, or the name of its folder.

        Raises:
            ConfigError: If there is none, or more than one.
        """
        found = [each for each in self.cells.values() if each.id.startswith(name) or each.folder.name == Path(name).name]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"{len(found)} cells begin with {name!r}", seen=_few([each.id for each in found]))
        raise ConfigError.unknown("cell", name, self.cells)


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def read(path: Path) -> StudyPlan:
    """Read a study file and expand it.

    Raises:
        ConfigError: With everything that is wrong in it.
    """
    study = file.read(path)
    problems = Problems(path)
    pretrainings = Pretrainings(study, problems)
    pretrainings.read()
    conversions = Conversions(study, pretrainings.members, problems)
    conversions.read()
    evaluations = Evaluations(study, conversions.members, problems)
    evaluations.read()
    cells = [*pretrainings.cells(), *conversions.found.values(), *evaluations.cells.values()]
    _check_conditions(study, cells, problems)
    if not cells and not problems.found:
        problems.note("it asks for nothing: `pretrain:` and `evaluate:` are empty")
    problems.require_none()
    return StudyPlan(
        path,
        study,
        {cell.id: _placed(cell, study) for cell in cells},
        shared=sum(len(each.blocks) > 1 for each in pretrainings.found.values()),
        doubles=evaluations.doubles,
    )


def _placed(cell: Cell, study: Study) -> Cell:
    """Give a cell its resources, and its place in `order.first`."""
    resource = next((each for each in study.resources if fits(cell.values, each.when)), cell.resource)
    conditions = study.order.first
    first = next((place for place, condition in enumerate(conditions) if fits(cell.values, condition)), len(conditions))
    arguments = cell.arguments
    if resource.devices > 1 and cell.kind in ("pretrain", "transfer"):
        arguments = (*arguments, "--devices", str(resource.devices))
    return dataclasses.replace(cell, resource=resource, first=first, arguments=arguments)


def _check_conditions(study: Study, cells: list[Cell], problems: Problems) -> None:
    """Note conditions on fields that no cell has, or that no cell fits."""
    known = ALWAYS.union(*(cell.values for cell in cells))
    conditions = [(f"resources, entry {n}", each.when) for n, each in enumerate(study.resources, 1)]
    conditions += [(f"order, first, entry {n}", each) for n, each in enumerate(study.order.first, 1)]
    for where, condition in conditions if cells else ():
        with problems.noting(where):
            require_known(condition, known, where)
            if not any(fits(cell.values, condition) for cell in cells):
                problems.note(f"{where}: no cell fits {condition}")
