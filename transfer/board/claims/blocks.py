"""Find the rows that a claim compares: those that share everything but what it is about."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from transfer.board.cells import Place, average
from transfer.board.claims.judge import Basis, Evidence, Expected
from transfer.board.columns import Column
from transfer.board.comparison import TWO_SIDED, priors
from transfer.board.errors import Errors, Side, errors
from transfer.board.last_epochs import Seeds, last_epochs
from transfer.board.leaderboard import Leaderboard, RowKey
from transfer.metrics import smallest_interest

MEASURES = ("Linv", "Ldiv")
"""The measures of the representation that claims are about."""
LABEL_MODE = "method.label_mode"
"""The setting that is the labels' own."""


@dataclass(frozen=True)
class Line:
    """What one line of evidence compares, before anything is computed."""

    mine: int
    """Index of a row."""
    theirs: int
    """Index of the row it is compared with."""
    block: tuple[int, ...]
    """Indices of the rows that share everything but what is compared, these two among them."""
    what: str
    """What minus what."""
    expected: Expected
    common: int
    """Which of the two the other lines of the block have too: its variance is its own, and the others' is pooled."""


@dataclass(frozen=True)
class Numbers:
    """The units of a leaderboard, and its rows in blocks."""

    board: Leaderboard
    rows: tuple[int, ...]
    """Trained rows, one for each run."""
    interests: Mapping[str, float]
    """Metric → smallest difference of interest, where it isn't the declared one."""

    @classmethod
    def of(cls, board: Leaderboard, interests: Mapping[str, float] | None = None, planned: Seeds | None = None) -> "Numbers":
        """Prepare a leaderboard, of whose rows those that are planned count as if they had been run."""
        trained = [index for index, row in enumerate(board.rows) if not row.baseline]
        return cls(board, tuple(last_epochs(board, trained, planned)), interests or {})

    def interest(self, name: str) -> float:
        """Return the smallest difference of interest of a metric; infinitely small where none is declared."""
        return smallest_interest(name, self.interests) or 0.0

    def blocks(self, shared: Callable[[RowKey], Hashable]) -> list[tuple[int, ...]]:
        """Group the rows by what of their keys has to be equal."""
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for row in self.rows:
            groups[shared(self.board.rows[row].key)].append(row)
        return [tuple(group) for group in groups.values()]

    def columns(self, name: str) -> list[Column]:
        """List the columns of a metric; Linv and Ldiv are those of the representation under no probe."""
        columns = [column for column in self.board.columns if column.name == name]
        return [column for column in columns if name not in MEASURES or column.of_base_representation]

    def places(self, name: str, lines: Sequence[Line]) -> set[Place]:
        """List the rows and columns that the lines are about, with a number or without."""
        rows = {row for line in lines for row in (line.mine, line.theirs)}
        return {(row, column.index) for row in rows for column in self.columns(name)}

    def evidence(self, name: str, lines: Sequence[Line]) -> list[Evidence]:
        """Compute the lines under every column of a metric, wherever both rows have a number."""
        units, made = self.board.units, []
        for column in self.columns(name):
            known = [line for line in lines if {(line.mine, column.index), (line.theirs, column.index)} <= units.keys()]
            sides, baseline_of = self._sides(column, known)
            spreads = errors(sides, baseline_of, priors(column).get("pre-trainings"))
            made += [(column, line, sides, spreads) for line in known]
        compared = {row for _, line, *_ in made for row in (line.mine, line.theirs)}
        return [self._evidence(*one, self._within(one[1], compared)) for one in made]

    def _sides(self, column: Column, lines: Sequence[Line]) -> tuple[dict[int, Side], dict[int, int]]:
        """Collect the rows of the lines' blocks under a column, and say which is compared with which."""
        common = {line.common for line in lines}
        rows = dict.fromkeys(row for line in lines for row in line.block if (row, column.index) in self.board.units)
        sides = {row: Side("control" if row in common else "other", self.board.units[row, column.index]) for row in rows}
        return sides, {row: line.common for line in lines for row in line.block if row in rows and row not in common}

    def _evidence(self, column: Column, line: Line, sides: Mapping[int, Side], spreads: Errors, within: str) -> Evidence:
        mine, theirs = sides[line.mine], sides[line.theirs]
        found = spreads.repeated(mine, theirs)
        counts = len(mine.units), len(theirs.units)
        of = (line.what, within, column.index, line.expected.words)
        if found is None:
            return Evidence(*of, average(mine.units) - average(theirs.units), None, _counted(counts, 0))
        half = float(stdtrit(found.freedom, TWO_SIDED)) * found.error
        interval = (found.mean - half, found.mean + half)
        holds, fails = line.expected.holds(found), line.expected.fails(found)
        basis = Basis(found, line.expected, min(counts))
        return Evidence(*of, found.mean, interval, _counted(counts, found.paired), holds, fails, basis=basis)

    def _within(self, line: Line, compared: Iterable[int]) -> str:
        """Name what the two rows share and others that are compared don't."""
        mine, theirs = self.board.rows[line.mine].key, self.board.rows[line.theirs].key
        names = ("method", "method_version", "supervision", "label_fraction", "aug", "arch", "data", "epochs", "changed")
        varied = [name for name in names if len({getattr(self.board.rows[row].key, name) for row in compared}) > 1]
        return ", ".join(_setting(name, getattr(mine, name)) for name in varied if getattr(mine, name) == getattr(theirs, name))


def but_augmentation(key: RowKey) -> Hashable:
    """Return what rows with several augmentations share: all but the augmentation and its own settings."""
    return key._replace(aug="", augmentation="", file=None)


def but_labels(key: RowKey) -> Hashable:
    """Return what rows under several supervisions share: all but the labels' fraction and what is done with them."""
    changed = {name: value for name, value in json.loads(key.changed).items() if name != LABEL_MODE}
    return key._replace(supervision="", label_fraction=None, changed=json.dumps(changed, sort_keys=True), file=None)


def _setting(name: str, value: object) -> str:
    if name == "epochs":
        return f"{value:g} epochs" if isinstance(value, float) else "epochs unknown"
    if name == "method_version":
        return f"version {value or 'unknown'}"
    if name == "label_fraction":
        return f"{100 * value:g} % labels" if isinstance(value, float) else "labels unknown"
    if name == "changed":
        changed = json.loads(str(value))
        return "; ".join(f"{key} {of}" for key, of in changed.items()) if changed else "settings as published"
    return str(value)


def _counted(counts: tuple[int, int], paired: int) -> str:
    if max(counts) == 1:
        return "one pre-training each"
    if counts[0] == counts[1] == paired:
        return f"{paired} pairs of pre-trainings"
    return f"{counts[0]} and {counts[1]} pre-trainings"
