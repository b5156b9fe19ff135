"""Test whether a measure of the representation predicts transfer: rank correlations within strata, by permutation.

n points: one for each pre-training that has both numbers. The untrained backbone is left out: its distance to every trained
one would make a correlation by itself; so are earlier backbones of a run, which move together as training goes on. Strata
are points of equal architecture, data, epochs and supervision, for those make both numbers larger or smaller; and of one
method, where it has several points there.
"""

import json
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from transfer.board.cells import average
from transfer.board.columns import Column
from transfer.board.last_epochs import last_epochs
from transfer.board.leaderboard import Leaderboard, RowKey
from transfer.board.strata import Indices, Values, kendall, permutations, ranks, spearman

FEW = 8
"""Points, in strata of two or more, below which nothing is said."""
LEVEL = 0.05
"""Probability that any pair of the table predicts where no measure is related to any metric."""
DRAWS = 1999
"""Of permutations."""


class Stratum(NamedTuple):
    """What the points of one stratum share."""

    arch: str
    data: str
    data_fingerprint: str | None
    epochs: float | None
    supervision: str
    label_fraction: float | None
    method: str
    """Empty for methods that have one point there."""


@dataclass(frozen=True)
class Prediction:
    """One measure against one metric of a task."""

    measure: int
    """Index of its column."""
    metric: int
    """Index of its column."""
    rows: tuple[int, ...]
    """The points, as indices of rows."""
    strata: tuple[Stratum, ...]
    """That of each point."""
    spearman: float | None
    """Within strata; None where a side is the same everywhere, or no stratum has two points."""
    kendall: float | None
    p: float | None = None
    """p-value over the whole table: how often its largest statistic is as large where nothing is related. None where there
    are too few points."""

    @property
    def points(self) -> int:
        """Count the points in strata of two or more: the others have nothing to be compared with."""
        sizes = Counter(self.strata)
        return sum(size for size in sizes.values() if size > 1)

    @property
    def verdict(self) -> Literal["predicts", "undecided", "too few points"]:
        """Say `predicts` where the p-value over the table is at the level."""
        if self.points < FEW:
            return "too few points"
        return "predicts" if self.p is not None and self.p <= LEVEL else "undecided"


def predictions(board: Leaderboard) -> tuple[Prediction, ...]:
    """Correlate every measure of a representation with one metric of each protocol, where at least one row has both.

    Measures under a probe are left out, and those that restate another. The metric is the protocol's first ranking one.
    """
    table = _means(board)
    measures = [one for one in board.columns if one.of_base_representation and not one.metric.restates]
    made, drawn = [], []
    for measure in measures:
        for metric in _metrics(board):
            one, values = _pair(board, table, measure.index, metric.index)
            if one.rows:
                made.append(one)
                drawn.append(values)
    return _tested(board, made, drawn)


def _metrics(board: Leaderboard) -> list[Column]:
    """Choose one metric of each task's protocol: the first headline, or the first."""
    chosen: dict[object, Column] = {}
    for column in sorted(board.columns, key=lambda one: not one.metric.headline):
        if not column.of_representation:
            chosen.setdefault(column.protocol.key, column)
    return sorted(chosen.values(), key=lambda one: one.index)


def _means(board: Leaderboard) -> Values:
    """Tabulate the means over units, (rows, columns); NaN where absent, and everywhere in untrained rows."""
    table = np.full((len(board.rows), len(board.columns)), np.nan)
    for (row, column), of in board.units.items():
        if not board.rows[row].baseline:
            table[row, column] = average(of)
    return table


def _pair(board: Leaderboard, table: Values, measure: int, metric: int) -> tuple[Prediction, tuple[Values, Values, Indices]]:
    """Correlate two columns over the rows that have both; return the ranks and strata too."""
    rows = last_epochs(board, np.flatnonzero(~np.isnan(table[:, [measure, metric]]).any(axis=1)).tolist())
    strata = _strata([board.rows[row].key for row in rows])
    place = {stratum: index for index, stratum in enumerate(dict.fromkeys(strata))}
    index = np.array([place[stratum] for stratum in strata], dtype=np.int64)
    x, y = (ranks(table[rows, column], index) for column in (measure, metric))
    constant = not x.any() or not y.any()
    both = (None, None) if constant else (float(spearman(x, y)), kendall(x, y, index))
    return Prediction(measure, metric, tuple(rows), strata, *both), (x, y, index)


def _strata(keys: Sequence[RowKey]) -> tuple[Stratum, ...]:
    """Sort points into strata."""
    shared = [Stratum(*(getattr(key, name) for name in Stratum._fields)) for key in keys]
    several = Counter(shared)
    return tuple(one if several[one] > 1 else one._replace(method="") for one in shared)


def _treatment(key: RowKey, stratum: Stratum) -> Hashable:
    """Return what may have an effect within a stratum and may occur in others: all that the stratum doesn't say."""
    return (key.method if not stratum.method else "", key.aug, key.augmentation, json.loads(key.changed))


def _tested(
    board: Leaderboard, made: Sequence[Prediction], values: Sequence[tuple[Values, Values, Indices]]
) -> tuple[Prediction, ...]:
    """Give the pairs with enough points their p-values, by the largest statistic over all of them (Westfall and Young 1993).

    Pairs differ in their number of points, so that each correlation is divided by its standard deviation over permutations.
    Pairs of the same points are permuted together, so that near-copies of each other count about once.
    """
    enough = [index for index, one in enumerate(made) if one.points >= FEW and one.spearman is not None]
    found, largest = {}, np.zeros(DRAWS)
    moved: dict[tuple[int, ...], Indices] = {}
    for index in enough:
        x, y, strata = values[index]
        rows = made[index].rows
        if rows not in moved:
            of = [_treatment(board.rows[row].key, stratum) for row, stratum in zip(rows, made[index].strata, strict=True)]
            moved[rows] = permutations(strata, of, DRAWS, np.random.default_rng(0))
        null = spearman(x, y[moved[rows]])
        deviation = float(np.sqrt((null**2).mean())) or 1.0
        found[index] = abs(made[index].spearman or 0.0) / deviation
        largest = np.maximum(largest, np.abs(null) / deviation)
    return tuple(_with_p(one, found.get(index), largest) for index, one in enumerate(made))


def _with_p(one: Prediction, statistic: float | None, largest: Values) -> Prediction:
    if statistic is None:
        return one
    p = (1 + int((largest >= statistic - 1e-9).sum())) / (1 + len(largest))
    return replace(one, p=p)
