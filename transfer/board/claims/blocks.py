"""Find the rows that a claim compares: those that share everything but what it is about."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from transfer.board.claims.contrasts import estimate
from transfer.board.claims.judge import Evidence, Expected
from transfer.board.columns import Column
from transfer.board.last_epochs import last_epochs
from transfer.board.leaderboard import Leaderboard, RowKey
from transfer.board.units import Unit, units

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
    """Indices of the rows that share the variance, these two among them."""
    what: str
    """What minus what."""
    expected: Expected


@dataclass(frozen=True)
class Numbers:
    """The units of a leaderboard, and its rows in blocks."""

    board: Leaderboard
    units: Mapping[tuple[int, int], tuple[Unit, ...]] = field(repr=False)
    rows: tuple[int, ...]
    """Trained rows, one for each run."""

    @classmethod
    def of(cls, board: Leaderboard) -> "Numbers":
        """Prepare a leaderboard."""
        trained = [index for index, row in enumerate(board.rows) if not row.baseline]
        return cls(board, units(board), tuple(last_epochs(board, trained)))

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

    def evidence(self, name: str, lines: Sequence[Line]) -> list[Evidence]:
        """Compute the lines under every column of a metric, wherever both rows have a number."""
        known = [
            (column, line)
            for column in self.columns(name)
            for line in lines
            if (line.mine, column.index) in self.units and (line.theirs, column.index) in self.units
        ]
        compared = {row for _, line in known for row in (line.mine, line.theirs)}
        return [self._evidence(column, line, compared) for column, line in known]

    def _evidence(self, column: Column, line: Line, compared: Iterable[int]) -> Evidence:
        def of(row: int) -> tuple[Unit, ...]:
            return self.units.get((row, column.index), ())

        block = [of(row) for row in line.block if of(row)]
        found = estimate(of(line.mine), of(line.theirs), block, 10.0**-column.metric.digits)
        half = found.half
        return Evidence(
            line.what,
            self._within(line, compared),
            column.index,
            line.expected.words,
            found.value,
            None if half is None else (found.value - half, found.value + half),
            _counted(found.counts, paired=found.paired),
            line.expected.holds(found),
            line.expected.fails(found),
        )

    def _within(self, line: Line, compared: Iterable[int]) -> str:
        """Name what the two rows share and others that are compared don't."""
        mine, theirs = self.board.rows[line.mine].key, self.board.rows[line.theirs].key
        names = ("method", "supervision", "label_fraction", "aug", "arch", "data", "epochs", "changed")
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
    if name == "label_fraction":
        return f"{100 * value:g} % labels" if isinstance(value, float) else "labels unknown"
    if name == "changed":
        changed = json.loads(str(value))
        return "; ".join(f"{key} {of}" for key, of in changed.items()) if changed else "settings as published"
    return str(value)


def _counted(counts: tuple[int, int], *, paired: bool) -> str:
    if max(counts) == 1:
        return "one pre-training each"
    return f"{counts[0]} pairs of pre-trainings" if paired else f"{counts[0]} and {counts[1]} pre-trainings"
