"""Test whether a measure of the representation predicts transfer: rank correlations over the trained rows, with intervals.

n points: one per row that was pre-trained and has both numbers. The untrained backbone is left out: its distance to
every trained one would make a correlation by itself.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri

from transfer.board.comparison import TWO_SIDED
from transfer.board.leaderboard import Leaderboard

FEW = 6
"""Points below which a correlation is only warned about."""
SMALLEST = 3
"""Points below which there is none."""
NORMAL = float(ndtri(TWO_SIDED))

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A correlation in [−1, 1] and its 95 % interval."""

    value: float
    low: float | None
    """None where there are too few points for an interval."""
    high: float | None

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Prediction:
    """One measure against one metric of a task."""

    measure: int
    """Index of its column."""
    metric: int
    """Index of its column."""
    rows: tuple[int, ...]
    """The points, as indices of rows."""
    spearman: Estimate | None
    """None below `SMALLEST` points, or where one side is the same everywhere."""
    kendall: Estimate | None

    @property
    def verdict(self) -> Literal["predicts", "undecided", "too few points"]:
        """Say `predicts` where the intervals of both correlations leave out zero."""
        if len(self.rows) < FEW:
            return "too few points"
        both = self.spearman is not None and self.kendall is not None and self.spearman.certain and self.kendall.certain
        return "predicts" if both else "undecided"


def predictions(board: Leaderboard) -> tuple[Prediction, ...]:
    """Correlate every measure of a representation with every metric of a task, where at least one row has both.

    Measures under a probe are left out.
    """
    table = _means(board)
    measures = [column.index for column in board.columns if column.of_base_representation]
    metrics = [column.index for column in board.columns if not column.of_representation]
    made = [_prediction(table, measure, metric) for measure in measures for metric in metrics]
    return tuple(one for one in made if one.rows)


def _means(board: Leaderboard) -> Values:
    """Tabulate the means, (rows, columns); NaN where absent, and everywhere in untrained rows."""
    table = np.full((len(board.rows), len(board.columns)), np.nan)
    for (row, column), cell in board.cells.items():
        if cell.mean is not None and not board.rows[row].baseline:
            table[row, column] = cell.mean
    return table


def _prediction(table: Values, measure: int, metric: int) -> Prediction:
    """Correlate two columns over the rows that have both."""
    x, y = table[:, measure], table[:, metric]
    rows = np.flatnonzero(~(np.isnan(x) | np.isnan(y)))
    x, y = x[rows], y[rows]
    constant = len(rows) < SMALLEST or np.ptp(x) == 0 or np.ptp(y) == 0
    both = (None, None) if constant else (spearman(x, y), kendall(x, y))
    return Prediction(measure, metric, tuple(rows.tolist()), *both)


def spearman(x: Values, y: Values) -> Estimate:
    """Estimate Spearman's rank correlation of (n,) and (n,), ties at their mean rank.

    The interval is Fisher's z with the variance (1 + r²/2) / (n − 3) of Bonett and Wright (2000), eq. 3.
    """
    n = len(x)
    value = float(stats.spearmanr(x, y).statistic)
    step = 12 / (n * (n**2 - 1))  # two neighbours exchanged in an otherwise perfect order
    return _estimate(value, step, (1 + value**2 / 2) / (n - 3) if n > 3 else None)


def kendall(x: Values, y: Values) -> Estimate:
    """Estimate Kendall's tau-b of (n,) and (n,).

    The interval is Fisher's z with the variance 0.437 / (n − 4) of Fieller, Hartley and Pearson (1957).
    """
    n = len(x)
    value = float(stats.kendalltau(x, y).statistic)
    step = 4 / (n * (n - 1))  # as above
    return _estimate(value, step, 0.437 / (n - 4) if n > 4 else None)


def _estimate(value: float, step: float, variance: float | None) -> Estimate:
    """Put the interval around atanh(value); none without a variance.

    NOTE: A perfect order has an infinite z; its interval is that of one step of the statistic short of it.
    """
    if variance is None:
        return Estimate(value, None, None)
    centre = math.atanh(max(-1 + step, min(1 - step, value)))
    half = NORMAL * math.sqrt(variance)
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return Estimate(value, min(low, value), max(high, value))
