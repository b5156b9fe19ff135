"""The representation measures: definitions, each a function of features.

Linv and Ldiv after "Exploring Data Augmentations on Self-/Semi-/Fully-Supervised Pre-trained Models" (arXiv:2310.18850) as
summarised there in words: the mean similarity between augmented views and the original image, and the mean similarity between
different views of one image. Both are similarities: a lower Ldiv is more diverse.

Shapes: N images, M views, S sources of a blend, D features, B bootstrap replicates.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

UNIFORMITY_SCALE = 2.0
"""t of Wang and Isola's uniformity."""
NEIGHBOURS = 20
"""Nearest images that vote in the accuracy among the measured images."""


def invariance(anchors: Tensor, views: Tensor) -> Tensor:
    """Return Linv (N,) of each image: the mean cosine between its views (N, M, D) and its anchor (N, D).

    It says how little the augmentation moves the features. Read it against the anisotropy, which inflates every cosine.
    """
    return (F.normalize(views, dim=-1) @ F.normalize(anchors, dim=-1)[..., None]).squeeze(-1).mean(dim=1)


def blended_invariance(anchors: Tensor, views: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """Return Linv (N,) of images whose views are blends: the cosine to each source's anchor, by the source's weight.

    Against its own anchor alone a blend looks variant for the trivial reason that it shows two images.

    Args:
        anchors: (N, D).
        views: (N, M, D).
        sources: (N, M, S) index of the anchor of each source.
        weights: (N, M, S), adding up to 1.
    """
    of_sources = F.normalize(anchors, dim=-1)[sources]  # (N, M, S, D)
    cosines = torch.einsum("nmd,nmsd->nms", F.normalize(views, dim=-1), of_sources)
    return (weights * cosines).sum(dim=2).mean(dim=1)


def view_similarity(views: Tensor) -> Tensor:
    """Return Ldiv (N,) of each image: the mean cosine between different views (N, M, D) of it.

    It is an affine copy of the alignment below; `diversity` is 1 minus this.
    """
    m = views.shape[1]
    total = F.normalize(views, dim=-1).sum(dim=1)
    return (total.square().sum(dim=-1) - m) / (m * (m - 1))


def diversity_cap(linv: Tensor, views: int) -> Tensor:
    """Return the largest diversity (N,) that an image's Linv (N,) allows: M (1 − Linv²) / (M − 1).

    The mean view is at least Linv long (Cauchy-Schwarz), so a "trade-off" between the two is partly an identity.
    """
    return views * (1 - linv.square()) / (views - 1)


def alignment(views: Tensor) -> Tensor:
    """Return the mean squared distance (N,) between different views (N, M, D) of an image on the unit sphere; lower is closer.

    Wang and Isola 2020 (arXiv:2005.10242), alpha = 2: equal to 2 − 2 Ldiv.
    """
    return 2 - 2 * view_similarity(views)


def similarity_between(directions: Tensor, weights_sum: Tensor, weights_squared: Tensor) -> Tensor:
    """Return the mean cosine (B,) between different images: the baseline that inflates Linv and Ldiv.

    Args:
        directions: (B, D) sum of the images' unit features, each times its weight.
        weights_sum: (B,) sum of the weights.
        weights_squared: (B,) sum of their squares.
    """
    pairs = weights_sum.square() - weights_squared
    return (directions.square().sum(dim=1) - weights_squared) / pairs


def uniformity(features: Tensor, weights: Tensor) -> Tensor:
    """Return the log of the mean of exp(−2 d²) (B,) over pairs of different images; lower is more uniform on the sphere.

    Wang and Isola 2020 (arXiv:2005.10242), t = 2.

    Args:
        features: (N, D).
        weights: (B, N) how often each image counts.
    """
    unit = F.normalize(features.double(), dim=1)
    kernel = torch.exp(-UNIFORMITY_SCALE * (2 - 2 * unit @ unit.T).clamp(min=0)).fill_diagonal_(0)
    w = weights.double()
    # An image drawn twice makes no pair with itself.
    pairs = w.sum(dim=1).square() - w.square().sum(dim=1)
    return (torch.einsum("bi,ij,bj->b", w, kernel, w) / pairs).log()


def neighbour_hits(features: Tensor, labels: Tensor) -> Tensor:
    """Tell for each image (N,) whether the votes of its 20 nearest other images, or of as many as there are, give its label.

    This is the label-based companion: what invariance is worth depends on whether the classes stay apart.
    """
    unit = F.normalize(features, dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
    nearest = cosine.topk(min(NEIGHBOURS, len(features) - 1), dim=1).indices
    found = labels[nearest]
    votes = torch.zeros(len(features), int(labels.max()) + 1).scatter_add_(1, found, torch.ones(found.shape))
    return votes.argmax(dim=1) == labels
