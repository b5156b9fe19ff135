"""Cosine losses of predictions and targets (BYOL, arXiv:2006.07733; SimSiam, arXiv:2011.10566).

Shapes: N images, D features.
"""

import torch.nn.functional as F
from torch import Tensor


def negative_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return −cos (N,) of each prediction (N, D) and its target (N, D), which gets no gradient; BYOL's loss is 2 + 2 × this."""
    return -F.cosine_similarity(predictions, targets.detach(), dim=1)
