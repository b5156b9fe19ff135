"""An audit of how a checkpoint is read, which needs no source: its norms' running statistics tell what it saw in training.

Some of the user's images go through the network as it is read, and as it might be read otherwise. Where another reading leaves
them much nearer to the running statistics than the declared one does, the audit says which.

What the images are of matters little. The input is judged at the first norm, with the images as they are and with mean and
deviation of each colour as ImageNet's have them, whichever is nearer. What is between the norms is judged with each norm
taking the images' own statistics (`distance.each`). And readings are compared with each other, not with a fixed value.
"""

import torch
from torch import Tensor

from transfer.audit import alternatives, pictures
from transfer.audit.distance import norms
from transfer.audit.looked import Looked, clearest
from transfer.audit.verdict import Verdict
from transfer.datasets.decoding import Content
from transfer.sources import Backbone
from transfer.sources.backbone import COUNTER

UNSEEN = Verdict("no images were asked for")
SETTLED = 44
"""Batches until a running statistic is to 99 % of training's: each counts for a tenth, as everywhere in the field."""


def audit(backbone: Backbone, content: Content, device: str = "cpu") -> Verdict:
    """Compare a backbone's running statistics with training images of the user's; draws no random number."""
    why = unfit(backbone)
    return Verdict(why) if why else compare(backbone, pictures.pixels(content, pictures.size(backbone)), device)


def unfit(backbone: Backbone) -> str:
    """Say why a backbone has no statistics of training; empty: it has."""
    if backbone.provenance.untrained:
        return "the backbone is untrained"
    with torch.device("meta"):
        trunk, _ = backbone.architecture.build(1, stem=backbone.stem)
    if not norms(trunk):
        return f"{backbone.arch} has no batch norms"
    means = [tensor for name, tensor in backbone.state.items() if name.endswith("running_mean")]
    return (
        ""
        if any(mean.any() for mean in means)
        else "all running means are 0, as in a network that was never trained or is folded"
    )


def compare(backbone: Backbone, pixels: Tensor, device: str = "cpu") -> Verdict:
    """Compare a backbone's running statistics with images.

    Args:
        backbone: One that has statistics of training.
        pixels: (N, 3, S, S), RGB in [0, 1].
        device: Where to compute.
    """
    if len(pixels) < pictures.FEWEST:
        return Verdict(f"{len(pixels)} images can be read, fewer than {pictures.FEWEST}")
    found, batches = judged(Looked(backbone, pixels.to(device))), _batches(backbone)
    if found.warning() and 0 < batches < SETTLED:
        return Verdict(f"they averaged few batches in training, {batches}, and it takes {SETTLED} until they say what it saw")
    return found


def _batches(backbone: Backbone) -> int:
    counts = (int(count) for name, count in backbone.state.items() if name.endswith(COUNTER))
    return min(counts, default=0)


@torch.inference_mode()
def judged(looked: Looked) -> Verdict:
    """Say what fits clearly better than what is declared; of the network only where the input fits."""
    backbone, images = looked.backbone, looked.images
    first, others = looked.inputs
    found = clearest(first, others)
    if found:
        return Verdict(images=images, first=first, declared=alternatives.read_as(backbone), better=found)
    typical, networks = looked.functions
    better = clearest(typical, networks)
    return Verdict(images=images, first=first, typical=typical, declared=alternatives.function_of(backbone), better=better)
