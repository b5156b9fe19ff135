"""Losses of pairs of embeddings as wholes: their correlation over a batch (Barlow Twins, arXiv:2103.03230), and their
invariance, variance and covariance (VICReg, arXiv:2105.04906).

Shapes: n images of this process, N of all, D features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.core import distributed

VARIANCE_FLOOR = 1e-4
"""Added to a variance before its root, whose gradient is then finite where features have collapsed."""


def cross_correlation(first: Tensor, second: Tensor, *, exact: bool) -> Tensor:
    """Compute the correlation matrix (D, D) over all processes of normalised embeddings (n, D).

    `exact`: whether its gradient is that of one process with all images. The published code adds up the processes' matrices
    outside the gradient, which after averaging is the exact one divided by the processes.
    """
    processes = distributed.world()
    own = first.T @ second / (len(first) * processes)
    others = distributed.total(own) - own.detach() if processes > 1 else torch.zeros_like(own)
    scaled = own * processes - own.detach() * (processes - 1) if exact else own
    return scaled + others


def redundancy(correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far a matrix (D, D) is from the identity: squares on its diagonal, and off it; two scalars."""
    diagonal = correlation.diagonal()
    return (diagonal - 1).square().sum(), correlation.square().sum() - diagonal.square().sum()


def variance_term(embeddings: Tensor) -> Tensor:
    """Return the mean over features of how far the deviation of embeddings (N, D) falls short of 1."""
    return F.relu(1 - (embeddings.var(dim=0) + VARIANCE_FLOOR).sqrt()).mean()


def covariance_term(embeddings: Tensor) -> Tensor:
    """Return the squares of the covariances of different features of embeddings (N, D), divided by D."""
    centred = embeddings - embeddings.mean(dim=0)
    covariance = centred.T @ centred / (len(centred) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / covariance.shape[0]
