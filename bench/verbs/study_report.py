"""`bench report --study`: the leaderboard of a study's cells, with those to come."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from rich.console import Console

from bench import places, report
from bench.report import Report
from bench.report.content import Content, Group, Study, Trouble
from bench.report.gather import Problem, Stamps, stamps
from bench.study import plan as planning
from bench.study import reported
from bench.study.attempts import cause
from bench.study.cells import Cell
from bench.study.records import RESULT
from bench.study.reported import REPORTED
from bench.study.states import Look, Observer, State
from pretrain.core.errors import RecordError
from transfer import record
from transfer.board import planned, published_numbers
from transfer.board.entries import Entry
from transfer.board.leaderboard import Leaderboard
from transfer.record import RunRecord


def run(file: Path, found: Sequence[Path], out: Path, interests: Mapping[str, float], console: Console | None = None) -> Report:
    """Print the table of a study, and write the files of a report into `out`.

    Args:
        file: The study file.
        found: Folders whose records count as done, too.
        out: Where the report goes.
        interests: Metric → smallest difference of interest, where it isn't the declared one.
        console: Where the table goes.

    Raises:
        ConfigError: With everything that is wrong in the study file.
        RecordError: If `out` can't be written.
    """
    return report.publish(content(file, found, interests), out, console)


def content(file: Path, found: Sequence[Path], interests: Mapping[str, float] | None = None) -> Content:
    """Set up the report of a study, of its records alone: data and checkpoints needn't be here.

    Raises:
        ConfigError: With everything that is wrong in the study file.
    """
    return _content(*_looked(file, found), interests)


@dataclass(frozen=True)
class Cells:
    """The cells of a study, as a source that is read again and again; see `bench.report.sources`."""

    file: Path
    found: Sequence[Path] = ()
    interests: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def here(cls, file: Path, found: Sequence[Path], interests: Mapping[str, float]) -> Self:
        """Name a study that can be read now; while it is edited, the page says what is wrong with it.

        Raises:
            ConfigError: With everything that is wrong in the study file.
        """
        planning.read(file)
        return cls(file, found, interests)

    def stamp(self) -> tuple[int, Stamps, tuple[State, ...]]:
        """Return the time of the study file, path, time and size of every record, and what has become of every cell.

        Raises:
            ConfigError: With everything that is wrong in the study file.
        """
        observer, look = _looked(self.file, self.found)
        return self.file.stat().st_mtime_ns, stamps(observer.records.folders), tuple(look.states.values())

    def content(self) -> Content:
        """Set up the report.

        Raises:
            ConfigError: With everything that is wrong in the study file.
        """
        return content(self.file, self.found, self.interests)


def _looked(file: Path, found: Sequence[Path]) -> tuple[Observer, Look]:
    plan = planning.read(file)
    observer = Observer.of(plan, found)
    return observer, observer.look(plan)


def _content(observer: Observer, look: Look, interests: Mapping[str, float] | None) -> Content:
    problems = [Problem(path, f"{path} is no record\n  seen:    {why}") for path, why in observer.records.broken.items()]
    of = dict(_entries(look, problems))
    entries = [entry for mine in of.values() for entry in mine]
    strangers = sum(1 for _ in observer.records.all()) - len({entry.path for entry in entries})
    done = {key: mine[0].record for key, mine in of.items() if mine}
    study = partial(_study, look, done, strangers)
    return Content.of(entries, problems, published_numbers.read(places.published()), interests, study)


def _entries(look: Look, problems: list[Problem]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the records of every cell that is done; what is broken of them is noted."""
    for key, records in look.found.items():
        mine: list[Entry] = []
        for each in records:
            path = each.folder / RESULT
            try:
                mine.append(Entry(path, record.read(path)))
            except RecordError as error:
                problems.append(Problem(path, str(error)))
        yield key, mine


def _study(look: Look, done: Mapping[str, RunRecord], strangers: int, board: Leaderboard) -> Study:
    """Lay a study over the leaderboard of its records."""
    total = Counter(REPORTED[state] for state in look.states.values())
    laid = planned.planned(board, reported.runs(look, done))
    return Study(look.plan.study.study, laid, total, tuple(_groups(look)), tuple(_troubles(look)), strangers)


def _groups(look: Look) -> Iterator[Group]:
    counts: dict[tuple[str, str], Counter[planned.State]] = {}
    for cell in look.plan.cells.values():
        for block in cell.blocks:
            counts.setdefault((block, cell.task), Counter())[REPORTED[look.states[cell.id]]] += 1
    blocks = list(dict.fromkeys(block for block, _ in counts))
    for block in blocks:
        yield from (Group(block, task, of) for (name, task), of in counts.items() if name == block)


def _troubles(look: Look) -> Iterator[Trouble]:
    """Yield the failed cells, then the impossible ones, those of one cause together under the message of the first."""
    for state in (State.FAILED, State.IMPOSSIBLE):
        causes: dict[str, list[Cell]] = {}
        for cell in look.having(state):
            causes.setdefault(cause(look.why[cell.id]), []).append(cell)
        for cells in causes.values():
            why = look.why[cells[0].id]
            if state is State.IMPOSSIBLE and len({look.why[cell.id] for cell in cells}) > 1:
                why = why.partition("\n")[0]  # the rest is of the first cell alone
            yield Trouble(REPORTED[state], why, tuple(cell.folder.name for cell in cells))
