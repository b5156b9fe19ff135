"""Assignments of images to prototypes or to outputs of a teacher, and the cross-entropy of predicting them.

Shapes: n images of this process, N of all, K prototypes or outputs.
"""

import torch
from torch import Tensor

from pretrain.core import distributed


@torch.no_grad()
def sinkhorn(scores: Tensor, *, epsilon: float, iterations: int) -> Tensor:
    """Assign images to prototypes, each prototype the same share of all images (SwAV, arXiv:2006.09882, section 3.1).

    Args:
        scores: (n, K) cosines, float32: exp(1 / .05) is beyond half precision.
        epsilon: Temperature; smaller ones give harder assignments.
        iterations: Of normalising rows, then columns.

    Returns:
        (n, K), each row adds up to 1.
    """
    images = len(scores) * distributed.world()
    shares = torch.exp(scores / epsilon).T
    shares = shares / distributed.total(shares.sum())
    for _ in range(iterations):
        shares = shares / distributed.total(shares.sum(dim=1, keepdim=True)) / len(shares)
        shares = shares / shares.sum(dim=0, keepdim=True) / images
    return (shares * images).T


def cross_entropy_of_shares(scores: Tensor, shares: Tensor, *, temperature: float) -> Tensor:
    """Compute (n,) −Σ share · log softmax(score / temperature) of scores (n, K) and shares (n, K)."""
    return -(shares * (scores / temperature).log_softmax(dim=1)).sum(dim=1)
