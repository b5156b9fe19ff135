"""InfoNCE with no, some or all labels.

Shapes: N queries, C candidates (the keys of the batch and the queue). Logits are cosines divided by the temperature.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(logits: Tensor, own: Tensor, same_class: Tensor | None = None, *, label_mode: str = "positives") -> Tensor:
    """Compute the contrastive loss of each query.

    Without labels this is InfoNCE, the cross-entropy of picking the query's own key (arXiv:1911.05722, equation 1).

    Args:
        logits: (N, C).
        own: (N,) column of each query's own key.
        same_class: (N, C) true where a candidate is known to be of the query's class; None where nothing is known.
        label_mode: `positives`: same-class candidates are positives too, as
            log(1 + Σ_neg exp(s) · Σ_pos exp(−s)) (UniMoCo, arXiv:2103.10773), which is InfoNCE for one positive;
            `mean-positives`: the mean over the positives of −log of each one's share of all candidates (SupCon's L_out,
            arXiv:2004.11362, equation 2), which is InfoNCE for one positive too;
            `drop-negatives`: same-class candidates leave the denominator.

    Returns:
        (N,).
    """
    if same_class is None:
        return F.cross_entropy(logits, own, reduction="none")
    is_own = torch.zeros_like(same_class).scatter_(1, own[:, None], value=True)
    if label_mode == "drop-negatives":
        return F.cross_entropy(logits.masked_fill(same_class & ~is_own, -torch.inf), own, reduction="none")
    positive = same_class | is_own
    if label_mode == "mean-positives":
        return -(logits.log_softmax(dim=1) * positive).sum(dim=1) / positive.sum(dim=1)
    negatives = logits.masked_fill(positive, -torch.inf).logsumexp(dim=1)
    positives = (-logits).masked_fill(~positive, -torch.inf).logsumexp(dim=1)
    return F.softplus(negatives + positives)
