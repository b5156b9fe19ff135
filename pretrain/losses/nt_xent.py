"""NT-Xent, the contrast of all views of a batch with each other (SimCLR, arXiv:2002.05709), with labels SupCon's L_out
(arXiv:2004.11362, equation 2).

Shapes: A anchors, C candidates, D features.
"""

import torch
from torch import Tensor


def nt_xent(anchors: Tensor, candidates: Tensor, positives: Tensor, itself: Tensor | None, *, temperature: float) -> Tensor:
    """Compute for each anchor the mean over its positives of −log of their share of all candidates.

    Args:
        anchors: (A, D), of unit length.
        candidates: (C, D), of unit length.
        positives: (A, C) true where a candidate is a positive. An anchor without any has a loss of 0.
        itself: (A,) column of the anchor itself, which is no candidate of its own; None where none is.
        temperature: Softmax temperature.

    Returns:
        (A,).
    """
    logits = anchors @ candidates.T / temperature
    if itself is not None:
        own = torch.zeros_like(positives).scatter_(1, itself[:, None], value=True)
        logits, positives = logits.masked_fill(own, -torch.inf), positives & ~own
    shares = logits.log_softmax(dim=1).masked_fill(~positives, 0)  # −∞ × 0 would be no number
    return -shares.sum(dim=1) / positives.sum(dim=1).clamp(min=1)
