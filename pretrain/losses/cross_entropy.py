"""Cross-entropy of images some of which have a label, and which may be blends. Shapes: N images, C classes, S sources."""

import torch.nn.functional as F
from torch import Tensor

from pretrain.augment.mixed import Mixed
from pretrain.images.labels import UNLABELLED
from pretrain.losses.blends import over_sources


def cross_entropy(outputs: Tensor, view: Mixed, labels: Tensor, *, blends: bool) -> tuple[Tensor, Tensor]:
    """Compute the mean loss over the images with a label, and the fraction of rightly classified ones among those whose own
    label is known; a blend may have a label by its partner alone, and no class to be right about.

    Args:
        outputs: (N, C).
        view: What was classified; with `blends`, each source's label counts by its fraction.
        labels: (N,), `UNLABELLED` where there is none.
        blends: Whether the label of a blend is its sources'; else it is the image's own.

    Returns:
        Two scalars; 0 where no image has a label.
    """
    seen = view if blends else Mixed(view.images)
    losses = over_sources(
        seen, lambda source: F.cross_entropy(outputs, labels[source], reduction="none", ignore_index=UNLABELLED)
    )
    targets = labels[:, None] if seen.sources is None else labels[seen.sources]
    known, own = (targets != UNLABELLED).any(dim=1), labels != UNLABELLED
    correct = (outputs.detach().argmax(dim=1) == labels) & own
    return losses.sum() / known.sum().clamp(min=1), correct.sum() / own.sum().clamp(min=1)
