"""How alike two networks see the same images. Shapes: N images, D and E features."""

import math

import torch
from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Compute the products (N, N) of all images' features (N, D), about their mean."""
    centred = features.double() - features.double().mean(dim=0)
    return centred @ centred.T


def cka(ours: Tensor, theirs: Tensor) -> float | None:
    """Return the linear centred kernel alignment of two Gram matrices (N, N): 1 for features that are rotations of each other.

    Kornblith et al. 2019 (arXiv:1905.00414) with the unbiased estimate of HSIC (Song et al. 2012, equation 5): the biased one
    tends to 1 for features of many more dimensions than images. About 0 for independent features, and below it by chance; None
    for fewer than four images or features that don't differ.
    """
    if len(ours) < 4:
        return None
    own = _hsic(ours, ours), _hsic(theirs, theirs)
    if min(own) <= 0:
        return None
    return max(-1.0, min(1.0, _hsic(ours, theirs) / math.sqrt(own[0] * own[1])))


def _hsic(k: Tensor, l: Tensor) -> float:  # noqa: E741 the paper's letters
    """Estimate the Hilbert-Schmidt independence criterion of two Gram matrices (N, N) without bias."""
    n = len(k)
    k, l = (matrix - torch.diag(matrix.diagonal()) for matrix in (k, l))  # noqa: E741
    traced = (k * l).sum()
    sums = k.sum() * l.sum() / ((n - 1) * (n - 2))
    mixed = 2 / (n - 2) * (k.sum(dim=0) @ l.sum(dim=0))
    return float((traced + sums - mixed) / (n * (n - 3)))
