"""Correlate ranks within strata, and find how large such correlations get where nothing is related.

n points in strata. Within a stratum, points differ in what is asked about and are alike in what would correlate them anyway.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.float64]
Indices = NDArray[np.int64]


def ranks(values: Values, strata: Indices) -> Values:
    """Rank (n,) values within their strata, ties at their mean rank, as (rank − mean) / (size + 1): in (−½, ½).

    With that scale a stratum weighs by its number of points; with plain ranks, by its cube.
    """
    made = np.zeros(len(values))
    for stratum in np.unique(strata):
        of = strata == stratum
        size = int(of.sum())
        made[of] = rankdata(values[of]) / (size + 1) - 0.5
    return made


def spearman(x: Values, y: Values) -> Values:
    """Correlate (n,) with (..., n) ranks within strata: Spearman's rank correlation in one stratum, partial over several.

    Ranks have the mean 0 within each stratum, so that this is the correlation of what the strata don't explain. 0 where one
    side is the same everywhere.
    """
    size = np.sqrt((x**2).sum() * (y**2).sum(-1))
    return np.divide(y @ x, size, out=np.zeros_like(size), where=size > 0)


def kendall(x: Values, y: Values, strata: Indices) -> float:
    """Return Kendall's tau-b of (n,) and (n,) over the pairs of points within a stratum."""
    same = strata[:, None] == strata[None, :]
    a, b = (np.sign(np.subtract.outer(side, side))[same] for side in (x, y))
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else 0.0


def permutations(strata: Indices, treatments: Sequence[Hashable], draws: int, rng: np.random.Generator) -> Indices:
    """Draw (draws, n) permutations of points within their strata.

    A treatment that occurs in several strata is moved in all of them alike: five augmentations in six strata are five things
    that may be related, and not thirty. Each draw gives every treatment a number; a stratum's points, in the order of their
    treatments, go where the order of those numbers says.
    """
    _, treatment = np.unique([str(one) for one in treatments], return_inverse=True)
    numbers = rng.random((draws, int(treatment.max()) + 1))
    order = np.lexsort((treatment, strata))
    key = strata[order] + numbers[:, treatment[order]]
    moved = np.argsort(key, axis=1, kind="stable")
    made = np.empty((draws, len(order)), dtype=np.int64)
    made[:, order] = order[moved]
    return made
