"""Compute how far several differences may lie from zero by chance, all of them together (Dunnett 1955)."""

import math
from collections import Counter
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtrit

CONFIDENCE = 0.95
NODES = 48
"""Points of each of the two integrals; the result is right to four digits."""
ROOM = 1e-3
"""By which the bracket of the root is widened, for the integral's own error."""

Shares = tuple[float, ...]
"""Of each comparison with one row: the fraction of its variance that is that row's, which all of them have in common."""


@lru_cache(maxsize=4096)
def critical(families: tuple[Shares, ...], freedom: float, sides: int = 2) -> float:
    """Return the c such that all |T| are at most c with the probability `CONFIDENCE` where nothing differs.

    T are differences over their standard errors, with one estimate of the variance. Those of one family are to one row; given
    what they have in common they are independent. Families are taken for independent but for the variance, which is never too
    small a c (the Gaussian correlation inequality).

    NOTE: `scipy.stats.dunnett` takes samples of one variance and no pairs, and draws random numbers for the same integral.

    Args:
        families: Shares of the comparisons, by the row that they are to.
        freedom: Degrees of freedom of the variance.
        sides: 2 for |T|, 1 for T.
    """
    alone = float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / sides))
    comparisons = sum(map(len, families))
    if comparisons < 2:
        return alone
    bonferroni = float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / sides / comparisons))
    quantile, weight = np.polynomial.legendre.leggauss(NODES)
    scale = np.sqrt(chdtri(freedom, (1 - quantile) / 2) / freedom)

    def exceeding(c: float) -> float:
        joint = np.ones(NODES)
        for family in families:
            joint *= _inside(family, c * scale, sides)
        return float(weight @ joint / 2) - CONFIDENCE

    return float(brentq(exceeding, alone * (1 - ROOM), bonferroni * (1 + ROOM), xtol=1e-5))


def _inside(family: Shares, limit: NDArray[np.float64], sides: int) -> NDArray[np.float64]:
    """Return the probability that all comparisons of a family stay within each of some limits."""
    common, weight = np.polynomial.hermite_e.hermegauss(NODES)
    given = np.ones((NODES, len(limit)))
    for share, times in Counter(family).items():
        shift, rest = math.sqrt(share) * common[:, None], math.sqrt(1 - share)
        inside = ndtr((limit - shift) / rest)
        if sides == 2:
            inside -= ndtr((-limit - shift) / rest)
        given *= inside**times
    found: NDArray[np.float64] = weight @ given / weight.sum()
    return found
