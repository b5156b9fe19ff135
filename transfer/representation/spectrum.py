"""How features spread over directions: measures of the spectrum of all images' features.

Shapes: N images, D features, R = min(N, D) eigenvalues, falling. All ignore a common scale of the features.
"""

import math

import torch
from scipy.linalg import eigvalsh
from torch import Tensor

RANK_FLOOR = 1e-7
"""Added to each normalised singular value by RankMe, so that a value of 0 has a logarithm."""
DECAY_RANKS = (4, 100)
"""First and last eigenvalue, counted from 1, whose decay α-ReQ fits: those of its authors' code."""
COLLAPSED = 1e-12
"""Fraction of the features' energy below which what differs between images is rounding."""


def measures(features: Tensor) -> dict[str, float | None]:
    """Compute all measures of a spectrum; None for one that these features (N, D) don't have."""
    z = features.double()
    mean = z.mean(dim=0)
    energy, variance = _eigenvalues(z), _eigenvalues(z - mean)
    spread = bool(variance.sum() > COLLAPSED * energy.sum())
    return {
        "effective_rank": effective_rank(energy) if float(energy.sum()) > 0 else None,
        "alpha_ReQ": decay(variance) if spread and min(len(z) - 1, z.shape[1]) >= DECAY_RANKS[1] else None,
        "NESum": sum_over_largest(variance) if spread else None,
        "participation_ratio": participation_ratio(variance) if spread else None,
    }


def _eigenvalues(rows: Tensor) -> Tensor:
    """Compute the squared singular values (R,) of a matrix (N, D), by its smaller Gram matrix."""
    gram = rows.T @ rows if rows.shape[0] >= rows.shape[1] else rows @ rows.T
    return torch.from_numpy(eigvalsh(gram.numpy())).clamp(min=0).flip(0)  # twice as fast as torch's for 2,048 dimensions


def effective_rank(energy: Tensor) -> float:
    """Return the exponential of the entropy of normalised singular values: how many directions the features use.

    RankMe (Garrido et al. 2023, arXiv:2210.02885, equation 1). It can't exceed N or D, so both belong beside it.

    Args:
        energy: (R,) squared singular values of the features, which are not centred.
    """
    values = energy.sqrt()
    fractions = values / values.sum() + RANK_FLOOR
    return math.exp(-float((fractions * fractions.log()).sum()))


def decay(variance: Tensor) -> float:
    """Return α of a spectrum that falls like rank^−α, fitted to the logarithms with weights 1 / rank.

    α-ReQ (Agrawal et al. 2022; their code fits ranks 4 to 100 with these weights): features near α = 1 are called good. It
    means nothing where features have collapsed to fewer than 100 directions.

    Args:
        variance: (R,) eigenvalues of the covariance, 100 at least.
    """
    first, last = DECAY_RANKS
    rank = torch.arange(first, last + 1, dtype=torch.float64)
    x, y = rank.log(), variance[first - 1 : last].clamp(min=torch.finfo(torch.float64).tiny).log()
    weights = 1 / rank / (1 / rank).sum()
    dx, dy = x - (weights * x).sum(), y - (weights * y).sum()
    return -float((weights * dx * dy).sum() / (weights * dx.square()).sum())


def sum_over_largest(variance: Tensor) -> float:
    """Return the sum of the covariance's eigenvalues (R,) over the largest one: NESum (He and Ozay 2022)."""
    return float(variance.sum() / variance[0])


def participation_ratio(variance: Tensor) -> float:
    """Return the squared sum of the covariance's eigenvalues (R,) over the sum of their squares."""
    return float(variance.sum().square() / variance.square().sum())
