"""Compute how much of a metric's variance each factor of a pre-training explains.

This tests the claim of arXiv:2403.05726: augmentation matters more than algorithm. Over the runs of the trained rows, an
additive model with one effect for every level of every factor is fitted by least squares. What a factor explains is the
rise of the residual sum of squares when it alone is left out, as a fraction of the total sum of squares; what several
factors explain because they were varied together belongs to none of them. N runs, P effects.

NOTE: This is the analysis of variance of type II of an additive model. scipy's takes one factor, and statsmodels, whose
`anova_lm(typ=2)` takes several, is no dependency; its F test has no answer where two factors can't be told apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from transfer.board.claims import Verdict
from transfer.board.leaderboard import Leaderboard, RowKey

FACTORS = ("aug", "method", "supervision", "arch", "data", "epochs")
LEVEL = 0.05
TEXT = "Augmentation matters more than algorithm."
SOURCE = "arXiv:2403.05726"
NEEDS = "at least two methods and two augmentations, crossed, with repetitions"
EXACT = 1e-12
"""Fraction of the total sum of squares below which a remainder is rounding."""


@dataclass(frozen=True)
class Contribution:
    """What one factor explains."""

    fraction: float
    """Fraction of the total sum of squares, 0 to 1."""
    p: float | None
    """p-value of the F test of leaving the factor out; None where it can't be told from other factors."""


@dataclass(frozen=True)
class Explained:
    """The variance of one column, by factor."""

    column: int
    """Index of the column."""
    runs: int
    contributions: Mapping[str, Contribution]
    """Factor → what it explains; only factors that vary."""
    residual: float
    """Fraction that no factor explains: seeds, and what isn't additive."""

    @property
    def verdict(self) -> Verdict:
        """Call it supported where the augmentation explains more, and significantly; contradicted the other way round."""
        aug, method = self.contributions.get("aug"), self.contributions.get("method")
        if aug is None or method is None:
            return "undecided"
        larger = aug if aug.fraction > method.fraction else method
        if larger.p is None or larger.p >= LEVEL:
            return "undecided"
        return "supported" if larger is aug else "contradicted"


def explained(board: Leaderboard) -> tuple[Explained, ...]:
    """Explain every headline column of a task whose runs vary in augmentation or method."""
    made = []
    for column in board.columns:
        if column.metric.headline and not column.of_representation:
            found = variance(column.index, *_runs(board, column.index))
            if found is not None and {"aug", "method"} & found.contributions.keys():
                made.append(found)
    return tuple(made)


def overall(found: Sequence[Explained]) -> Verdict:
    """Return one verdict over columns: that of those which are decided, if they agree."""
    decided = {one.verdict for one in found} - {"undecided"}
    return decided.pop() if len(decided) == 1 else "undecided"


def _runs(board: Leaderboard, column: int) -> tuple[list[RowKey], list[float]]:
    """List the numbers of a column in trained rows, each with the key of its row."""
    pairs = [
        (row.key, value)
        for row_index, row in enumerate(board.rows)
        if not row.baseline
        for value in board.samples.get((row_index, column), {}).values()
    ]
    return [key for key, _ in pairs], [value for _, value in pairs]


def variance(column: int, keys: Sequence[RowKey], values: Sequence[float]) -> Explained | None:
    """Explain N numbers; None where no factor varies, all numbers are equal, or no degree of freedom is left to test with."""
    y = np.asarray(values, dtype=float)
    levels = {name: [_level(key, name) for key in keys] for name in FACTORS}
    varied = [name for name in FACTORS if len(set(levels[name])) > 1]
    total = float(((y - y.mean()) ** 2).sum()) if len(y) > 1 else 0.0
    if not varied or total == 0:
        return None
    rest, rank = _residual([levels[name] for name in varied], y)
    freedom = len(y) - rank
    if freedom == 0:
        return None
    contributions = {}
    for name in varied:
        without, smaller = _residual([levels[other] for other in varied if other != name], y)
        gain = max(without - rest, 0.0)
        contributions[name] = Contribution(gain / total, _p(gain, rank - smaller, rest, freedom, total))
    return Explained(column, len(y), contributions, rest / total)


def _p(gain: float, lost: int, rest: float, freedom: int, total: float) -> float | None:
    """Return the p-value of the F test of a factor; None where it can't be told from the others.

    Args:
        gain: Rise of the residual sum of squares without the factor.
        lost: Degrees of freedom that the factor takes.
        rest: Residual sum of squares of the whole model.
        freedom: Degrees of freedom of that residual.
        total: Total sum of squares.
    """
    if lost == 0:
        return None
    if rest < EXACT * total:
        return 0.0 if gain > EXACT * total else 1.0
    return float(fdtrc(lost, freedom, gain / lost / (rest / freedom)))


def _residual(factors: Sequence[Sequence[object]], y: NDArray[np.float64]) -> tuple[float, int]:
    """Fit the additive model of some factors, with a design of (N, P); return its residual sum of squares and rank."""
    blocks = [np.ones((len(y), 1))]
    for levels in factors:
        index_of = {level: index for index, level in enumerate(dict.fromkeys(levels))}
        blocks.append(np.eye(len(index_of))[[index_of[level] for level in levels]])
    design = np.concatenate(blocks, axis=1)
    effects, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(((y - design @ effects) ** 2).sum()), int(rank)


def _level(key: RowKey, factor: str) -> object:
    """Return a factor's level in a row; semi-supervised levels differ by their fraction of labels."""
    return (key.supervision, key.label_fraction) if factor == "supervision" else getattr(key, factor)
