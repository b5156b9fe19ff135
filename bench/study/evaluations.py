"""What a study evaluates → cells: every task, measure, trial and setting on every backbone, each once."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.options import Setup
from bench.places import is_generated
from bench.selection import ALL, Selection
from bench.study.cells import Cell, Subject
from bench.study.file import Evaluation, Study
from bench.study.problems import Problems
from bench.study.words import combinations, fits, require_known, typed
from bench.verbs import measure, transfer
from pretrain import backbones
from pretrain.core.errors import CheckpointError, ConfigError
from pretrain.core.settings import digest
from transfer import engines, tasks
from transfer.board.columns import REPRESENTATION
from transfer.engines import ENGINES
from transfer.representation.measure import VERSION
from transfer.sources.addresses import SCHEMES

RANDOM = "random"
IMAGES = "imagefolder"
CHOICE = frozenset(Selection.model_fields)
"""Options of the commands that choose classes; in a study they stand among the settings, as a pre-training's do."""


@dataclass(frozen=True)
class What:
    """One thing that is done with backbones, resolved and checked: all of a cell but the backbone and the seed."""

    kind: Any
    task: str
    protocol: str
    version: int
    engine: str
    layout: str
    changed: Mapping[str, Any]
    words: tuple[str, ...]
    settings: Any
    selection: Selection = ALL

    def takes(self, values: Mapping[str, Any]) -> str:
        """Say why it can't take the backbone of a pre-training with those settings; an empty text where it can."""
        info, architecture = ENGINES.get(self.engine), backbones.get(values["arch"])
        if self.kind != "transfer" or info is None:
            return ""
        if not info.takes_family(architecture.family):
            return f"{self.task} can't use a {values['arch']}"
        return "" if info.takes_stem(values["stem"]) else f"{self.task} can't use the stem {values['stem']!r}"


@dataclass
class Evaluations:
    """All evaluations of a study, by id."""

    study: Study
    members: Mapping[str, list[Subject]]
    problems: Problems
    cells: dict[str, Cell] = field(default_factory=dict)
    doubles: int = 0
    """Evaluations that are named again, and planned once."""

    def read(self) -> None:
        """Expand every entry; what is wrong is noted."""
        for number, entry in enumerate(self.study.evaluate, start=1):
            where = f"evaluate, entry {number}"
            subjects = self._subjects(entry, where)
            for what in self._whats(entry, where):
                for subject in subjects:
                    refusal = what.takes(subject.values) if subject.values else ""
                    if refusal:
                        self.problems.note(f"{where}: {refusal}, of {', '.join(entry.of)}; leave it out by `where`")
                        continue
                    for trial in range(entry.trials):
                        self._add(what, subject, trial)

    def _subjects(self, entry: Evaluation, where: str) -> list[Subject]:
        found: list[Subject] = []
        for name in entry.of:
            if name in self.members:
                found += self.members[name]
            else:
                with self.problems.noting(where):
                    found.append(self._address(name))
        if not entry.where or not found:
            return found
        with self.problems.noting(where):
            known = {name for subject in found for name in subject.values}
            if known:
                require_known(entry.where, known, "where")
            kept = [subject for subject in found if fits(subject.values, entry.where)]
            if not kept and known:
                raise ConfigError("where keeps nothing", seen=entry.where, fix="mend its values, or drop the entry")
            return kept
        return []

    def _address(self, name: str) -> Subject:
        scheme, _, rest = name.partition(":")
        if scheme not in SCHEMES:
            raise ConfigError.unknown("block in of:", name, self.members)
        if scheme == RANDOM:
            arch, _, seed = rest.partition(":")
            backbones.get(arch)
            return Subject(f"{RANDOM}:{arch}:{seed or 0}", {}, f"{RANDOM}-{arch}", name, block=f"{RANDOM}:{arch}")
        return Subject(name, {}, "".join(char if char.isalnum() else "-" for char in name), name, block=name)

    def _whats(self, entry: Evaluation, where: str) -> Iterator[What]:
        """Resolve what an entry asks for; what is wrong in it is noted."""
        for chosen in combinations(entry.grid, {}):
            options = {**entry.set, **chosen}
            choice = {name: value for name in sorted(CHOICE) if (value := options.pop(name, None)) is not None}
            for name in entry.task:
                with self.problems.noting(f"{where}, {name}"):
                    yield self._task(name, options, choice, entry.engine)
            if entry.measure is None:
                continue
            strengths = [{"probe_options": each} for each in combinations(entry.measure.sweep, {})]
            for probe in entry.measure.probe:
                for strength in strengths if entry.measure.sweep else [{}]:
                    with self.problems.noting(f"{where}, probe {probe}"):
                        yield self._measure({**options, "probe": probe, **strength}, choice)

    def _data(self, layout: str) -> str:
        if layout not in self.study.data:
            raise ConfigError("its data is not said", seen=f"data: {', '.join(self.study.data)}", fix=f"add `{layout}: FOLDER`")
        return self.study.data[layout]

    @cached_property
    def _setup(self) -> Setup:
        return Setup(budget=self.study.budget)

    def _task(self, name: str, options: Mapping[str, Any], choice: Mapping[str, Any], engine: str | None) -> What:
        task, selection = tasks.get(name), Selection.read(choice, where="the entry")
        selection.require_folders(name, task.layout)
        data = self._data(task.layout)
        engine = engines.choose(task, engine)
        asked = transfer.Transfer(task=name, checkpoint="", options=options, setup=self._setup)
        settings, _ = transfer.settings_of(asked, task, is_generated(data))
        words = self._with_budget(("--task", name, "--engine", engine, *typed(options), *typed(choice, CHOICE), "--data", data))
        changed = settings.differences(task.settings)
        return What(
            "transfer", task.name, task.protocol, task.version, engine, task.layout, changed, words, settings, selection
        )

    def _measure(self, options: Mapping[str, Any], choice: Mapping[str, Any]) -> What:
        data = self._data(IMAGES)
        settings = measure.settings_of(measure.Measure(options=options, setup=self._setup), is_generated(data))
        words = self._with_budget((*typed({**options, **choice}, CHOICE | {"probe"}), "--data", data))
        changed, selection = measure.changes(settings), Selection.read(choice, where="the entry")
        return What("measure", REPRESENTATION, settings.protocol, VERSION, "probe", IMAGES, changed, words, settings, selection)

    def _with_budget(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return words if self.study.budget is None else (*words, "--budget", self.study.budget)

    def _add(self, what: What, subject: Subject, trial: int) -> None:
        data = self.study.data[what.layout]
        said = [what.kind, what.protocol, what.version, what.changed, what.engine, data, trial]
        said += [chosen] if (chosen := what.selection.plain()) else []
        key = digest([subject.key, subject.epoch, *said])
        if key in self.cells:
            self.doubles += 1
            mine = self.cells[key]
            if subject.block not in mine.blocks:
                self.cells[key] = dataclasses.replace(mine, blocks=(*mine.blocks, subject.block))
            return
        epoch = "" if subject.epoch is None else f"-e{subject.epoch}"
        slug = what.protocol.partition("(")[0]
        name = f"{slug}-{subject.name}{epoch}-{Path(data).name}-s{trial}-{key}"
        self.cells[key] = Cell(
            id=key,
            kind=what.kind,
            task=what.protocol,
            arguments=(*what.words, "--seed", str(trial)),
            folder=Path(self.study.runs) / name,
            says={
                "kind": what.kind,
                "protocol": what.protocol,
                "version": what.version,
                "changed": what.changed,
                "engine": what.engine,
                "seed": trial,
            },
            data=data,
            layout=what.layout,
            values={**subject.values, "kind": what.kind, "task": what.task, "protocol": what.protocol},
            rank=max(subject.rank, trial),
            subject=subject,
            settings=what.settings,
            selection=what.selection,
            blocks=(subject.block,),
        )


def missing(subject: Subject) -> CheckpointError | None:
    """Return the error for a backbone of elsewhere whose file is not there; None where it is, or is fetched."""
    if subject.pretraining is not None or subject.checkpoint.partition(":")[0] in SCHEMES or Path(subject.checkpoint).exists():
        return None
    return CheckpointError(f"no checkpoint at {subject.checkpoint}", fix=subject.hint or "put it there, or mend its path")
