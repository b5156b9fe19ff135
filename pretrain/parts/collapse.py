"""Whether projections still differ between images: what every method logs, since a collapsed one can have a fine loss.

Shapes: N images, D features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def told_apart(first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """Compare projections (N, D) of two views of the same images; returns scalars for the log.

    `spread` is √D times the standard deviation of the normalised projections of the first view, in the mean of its dimensions:
    1 where they point in all directions alike, 0 where all are one. `positives` and `others` are the mean cosines of an
    image's two views, and of views of different images.
    """
    one, two = (F.normalize(each.detach().float(), dim=1) for each in (first, second))
    images = len(one)
    own = (one * two).sum()
    everything = one.sum(dim=0) @ two.sum(dim=0)
    return {
        **spread(one),
        "positives": own / images,
        "others": (everything - own) / max(images * (images - 1), 1),
    }


@torch.no_grad()
def spread(outputs: Tensor) -> dict[str, Tensor]:
    """Return the `spread` of outputs (N, D) alone, see `told_apart`."""
    normal = F.normalize(outputs.detach().float(), dim=1)
    return {"spread": normal.shape[1] ** 0.5 * normal.std(dim=0, correction=0).mean()}
