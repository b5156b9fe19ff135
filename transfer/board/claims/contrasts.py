"""Estimate one row minus another under one column, over units of pre-training.

n units of a row, R rows of a block. A block is a set of rows that share everything but what is compared; its rows share the
error variance.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from transfer.board.units import Unit

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A difference of two means and how far it can be trusted."""

    value: float
    error: float | None
    """Standard error; None where one of the rows is a single pre-training."""
    freedom: int
    """Degrees of freedom of the standard error; 0 without one."""
    counts: tuple[int, int]
    """Pre-trainings on either side."""
    paired: bool
    """Whether both have the same seeds."""

    @property
    def half(self) -> float | None:
        """Return half the width of the 95 % interval by Student's t."""
        return None if self.error is None else float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.error

    def above(self, bound: float) -> float:
        """Return the p-value of the one-sided test that the difference is above a bound; 1 where nothing can be tested."""
        if self.error is None:
            return 1.0
        return float(stdtr(self.freedom, (bound - self.value) / self.error))

    def below(self, bound: float) -> float:
        """Return the p-value of the one-sided test that it is below a bound."""
        return self._replace(value=-self.value).above(-bound)


def estimate(mine: Sequence[Unit], theirs: Sequence[Unit], block: Sequence[Sequence[Unit]], step: float) -> Estimate:
    """Estimate a row's mean minus another's.

    Rows of equal seeds are paired: the variance is that of the residual of row and seed effects over the rows of the block
    with those seeds, with (R − 1)(n − 1) degrees of freedom; of two rows that is the paired t test. Others are two samples
    with the variance within the rows of the block, so that no unit is left out.

    NOTE: The standard error is the larger one of that and of the two rows' own, with the pooled degrees of freedom. Rows of
    unequal variance would otherwise be decided too often: with variances of 3:1 a one-sided 2.5 % becomes 5 %, and with the
    larger one 3.7 % at most (`tests/benchmarks/decisions_claims.py`). It is at least that of rounding to the digits shown, so
    that two equal differences are no certainty.

    Args:
        mine: Units of the row.
        theirs: Units of the other row.
        block: Units of all rows of the block, these two among them.
        step: One unit of the last digit shown.
    """
    counts = (len(mine), len(theirs))
    value = _mean(mine) - _mean(theirs)
    seeds = _seeds(mine)
    paired = None not in seeds and seeds == _seeds(theirs)
    if min(counts) < 2:
        return Estimate(value, None, 0, counts, paired)
    rounding = step**2 / 12  # variance of a uniform error
    if paired:
        variance, freedom = _residual([row for row in block if _seeds(row) == seeds])
        own = _residual([mine, theirs])[0]
        return Estimate(value, math.sqrt(2 * max(variance, own, rounding) / len(mine)), freedom, counts, True)
    repeated = [row for row in block if len(row) > 1]
    freedom = sum(len(row) - 1 for row in repeated)
    variance = max(sum(_variance(row) * (len(row) - 1) for row in repeated) / freedom, rounding)
    own = _variance(mine) / counts[0] + _variance(theirs) / counts[1]
    return Estimate(value, math.sqrt(max(variance * (1 / counts[0] + 1 / counts[1]), own)), freedom, counts, False)


def _residual(rows: Sequence[Sequence[Unit]]) -> tuple[float, int]:
    """Return the mean square that row and seed effects leave of an (R, n) table, and its degrees of freedom."""
    table = np.array([[unit.mean for unit in row] for row in rows])
    left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float((left**2).sum()) / freedom, freedom


def _seeds(row: Sequence[Unit]) -> tuple[int | None, ...]:
    return tuple(unit.seed for unit in row)


def _mean(row: Sequence[Unit]) -> float:
    return sum(unit.mean for unit in row) / len(row)


def _variance(row: Sequence[Unit]) -> float:
    return float(np.var([unit.mean for unit in row], ddof=1))
