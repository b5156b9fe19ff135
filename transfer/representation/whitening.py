"""What views of an image have in common, measured against how images differ: LiDAR, and view distance after whitening.

Shapes: N images, M views, D features, K directions.
"""

import math

import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from torch import Tensor

from transfer.representation.definitions import alignment

DIRECTIONS = 128
"""Principal directions that features are reduced to, as many as a projector's outputs: covariances of more than N dimensions
can't be inverted, and architectures differ in D."""
RIDGE = 1e-4
"""δ, added to the variance of each direction of unit-length features before it is inverted. LiDAR's authors give none;
galilai-group/stable-pretraining @d15ec96d has this one. Directions of less variance hardly count."""
RANK_FLOOR = 1e-8
"""Added to each normalised eigenvalue, so that a value of 0 has a logarithm: that code's, too."""


def reduced(views: Tensor) -> Tensor | None:
    """Project views (N, M, D), brought to unit length, on the leading principal directions of the images' mean views.

    Returns:
        (N, M, K) about the mean, K the smaller of D and 128; None for no more than K images.
    """
    unit = F.normalize(views.double(), dim=-1)
    means = unit.mean(dim=1)
    k = min(DIRECTIONS, unit.shape[2])
    if len(unit) <= k:
        return None
    centred = means - means.mean(dim=0)
    width = unit.shape[2]
    _, directions = eigh((centred.T @ centred).numpy(), subset_by_index=[width - k, width - 1])
    return (unit - means.mean(dim=0)) @ torch.from_numpy(directions)


def lidar(views: Tensor, ridge: float = RIDGE) -> float:
    """Return the effective rank of what tells images apart, in units of what views of one image differ in.

    LiDAR (Thilak et al. 2023, arXiv:2312.04000): every image is a class, and the rank is that of linear discriminant analysis,
    S_w^-½ S_b S_w^-½. Views that know nothing of their image give a flat spectrum, and so a high value, too.

    Args:
        views: (N, M, K).
        ridge: Added to the diagonal of S_w.
    """
    n, m, k = views.shape
    means = views.mean(dim=1)
    between = (means - means.mean(dim=0)).T @ (means - means.mean(dim=0)) / (n - 1)
    apart = (views - means[:, None]).flatten(0, 1)
    within = apart.T @ apart / (n * (m - 1)) + ridge * torch.eye(k, dtype=views.dtype)
    inverse_root = _inverse_root(within)
    values = torch.linalg.eigvalsh(inverse_root @ between @ inverse_root).clamp(min=0)
    fractions = values / values.sum() + RANK_FLOOR
    return math.exp(-float((fractions * fractions.log()).sum()))


def view_distance(views: Tensor, ridge: float = RIDGE) -> Tensor:
    """Return the mean squared distance (N,) between different views of an image, brought to unit length after whitening.

    It is the alignment without the anisotropy, which brings all features together: 0 for views that are equal, 2 for views
    that have no more in common than different images have. The whitening is that of W-MSE (Ermolov et al. 2021,
    arXiv:2007.06346), over all views.

    Args:
        views: (N, M, K) about their mean.
        ridge: Added to the variance of each direction.
    """
    flat = views.flatten(0, 1)
    covariance = flat.T @ flat / len(flat) + ridge * torch.eye(views.shape[2], dtype=views.dtype)
    return alignment(views @ _inverse_root(covariance))


def _inverse_root(matrix: Tensor) -> Tensor:
    """Compute the symmetric inverse square root of a positive matrix (K, K)."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.rsqrt() @ vectors.T
