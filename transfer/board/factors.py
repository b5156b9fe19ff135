"""How much of a metric's variance each factor of a pre-training explains, for the claim of arXiv:2403.05726:
augmentation matters more than algorithm.

Over the runs of the trained rows, an additive model with one effect for every level of every factor is fitted by least
squares. A factor's share is the rise of the residual sum of squares when it alone is left out, over the total sum of
squares; what factors share because they were varied together belongs to none of them. N runs, P effects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from transfer.board.claims import Verdict
from transfer.board.columns import REPRESENTATION
from transfer.board.leaderboard import Leaderboard, RowKey

FACTORS = ("aug", "method", "supervision", "arch", "data", "epochs")
LEVEL = 0.05
TEXT = "Augmentation matters more than algorithm."
SOURCE = "arXiv:2403.05726"
NEEDS = "at least two methods and two augmentations, crossed, with repetitions"
EXACT = 1e-12
"""Share of the total sum of squares below which a remainder is rounding."""


@dataclass(frozen=True)
class Share:
    """What one factor explains."""

    share: float
    """Of the total sum of squares, 0 to 1."""
    p: float | None
    """Of the F test of leaving it out; None where it can't be told from other factors."""


@dataclass(frozen=True)
class Explained:
    """One column's variance, taken apart."""

    column: int
    runs: int
    shares: Mapping[str, Share]
    """Factor → share; only factors that vary."""
    residual: float
    """Share that no factor explains: seeds, and what isn't additive."""

    @property
    def verdict(self) -> Verdict:
        """Supported where the augmentation's share is significant and the larger one, contradicted the other way round."""
        aug, method = self.shares.get("aug"), self.shares.get("method")
        if aug is None or method is None:
            return "undecided"
        larger = aug if aug.share > method.share else method
        if larger.p is None or larger.p >= LEVEL:
            return "undecided"
        return "supported" if larger is aug else "contradicted"


def explained(board: Leaderboard) -> tuple[Explained, ...]:
    """Every headline column of a task whose runs vary in a factor."""
    made = []
    for place, column in enumerate(board.columns):
        if column.metric.headline and column.protocol.key.task != REPRESENTATION:
            keys, values = _runs(board, place)
            found = variance(place, keys, values)
            if found is not None and {"aug", "method"} & found.shares.keys():
                made.append(found)
    return tuple(made)


def overall(found: Sequence[Explained]) -> Verdict:
    """One verdict over columns: that of those which have one, if they agree."""
    decided = {one.verdict for one in found} - {"undecided"}
    return decided.pop() if len(decided) == 1 else "undecided"


def _runs(board: Leaderboard, column: int) -> tuple[list[RowKey], list[float]]:
    pairs = [
        (row.key, value)
        for place, row in enumerate(board.rows)
        if not row.baseline
        for value in board.samples.get((place, column), {}).values()
    ]
    return [key for key, _ in pairs], [value for _, value in pairs]


def variance(column: int, keys: Sequence[RowKey], values: Sequence[float]) -> Explained | None:
    """N runs' numbers taken apart; None where no factor varies, all numbers are equal, or nothing is left to test with."""
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
    shares = {}
    for name in varied:
        without, smaller = _residual([levels[other] for other in varied if other != name], y)
        gain = max(without - rest, 0.0)
        shares[name] = Share(gain / total, _p(gain, rank - smaller, rest, freedom, total))
    return Explained(column, len(y), shares, rest / total)


def _p(gain: float, lost: int, rest: float, freedom: int, total: float) -> float | None:
    """Of the F test; None where the factor can't be told from the others."""
    if lost == 0:
        return None
    if rest < EXACT * total:
        return 0.0 if gain > EXACT * total else 1.0
    return float(fdtrc(lost, freedom, gain / lost / (rest / freedom)))


def _residual(factors: Sequence[Sequence[object]], y: NDArray[np.float64]) -> tuple[float, int]:
    """Residual sum of squares and rank of the additive model of some factors; its design is (N, P)."""
    blocks = [np.ones((len(y), 1))]
    for levels in factors:
        places = {level: place for place, level in enumerate(dict.fromkeys(levels))}
        blocks.append(np.eye(len(places))[[places[level] for level in levels]])
    design = np.concatenate(blocks, axis=1)
    effects, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(((y - design @ effects) ** 2).sum()), int(rank)


def _level(key: RowKey, factor: str) -> object:
    return (key.supervision, key.label_fraction) if factor == "supervision" else getattr(key, factor)
