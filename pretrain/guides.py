"""What the network that is trained says of a batch to an augmentation that asks (`pretrain.augment.guide`).

Shapes: N images, S pixels a side, V views.
"""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.augment.asking import Asked
from pretrain.augment.guide import Guide
from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch, Losses
from pretrain.images.labels import UNLABELLED
from pretrain.learner import Learner, MapsClasses


def guides(
    learner: Learner, batch: Batch, asked: Collection[Asked], *, shared: bool
) -> tuple[list[Guide | None], Losses | None]:
    """Ask the network about every view of a batch.

    Args:
        learner: The network. No tensor of it changes, but for the running statistics if `shared`.
        batch: The views before the augmentation.
        asked: What is asked.
        shared: Keep the pass, whose losses are the step's own.

    Returns:
        A guide for each view; None for a view that no gradient comes to. And the losses with their graph, if `shared`.
    """
    with contextlib.nullcontext() if shared else _statistics_kept(learner):
        activation = [_activation(learner, view, batch.labels) for view in batch.clean] if "class activation" in asked else []
        if "saliency" not in asked:
            return [Guide(view, {"class activation": each}) for view, each in zip(batch.clean, activation, strict=True)], None
        saliency, losses = _saliency(learner, batch, shared=shared)
    found: list[Guide | None] = []
    for index, (view, each) in enumerate(zip(batch.clean, saliency, strict=True)):
        also: dict[Asked, Tensor] = {"class activation": activation[index]} if activation else {}
        found.append(None if each is None else Guide(view, {"saliency": each, **also}))
    return found, losses


def _saliency(learner: Learner, batch: Batch, *, shared: bool) -> tuple[list[Tensor | None], Losses | None]:
    """Compute for every view the root mean square (N, S, S) over the channels of the gradient of the sum of all losses."""
    seen = tuple(view.detach().clone(memory_format=torch.preserve_format).requires_grad_() for view in batch.clean)
    with torch.enable_grad():
        losses = learner(replace(batch, views=tuple(map(Mixed, seen)), clean=seen))
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(losses.total, seen, retain_graph=shared, allow_unused=True)
    maps = [None if gradient is None else gradient.float().square().mean(dim=1).sqrt() for gradient in gradients]
    return maps, losses if shared else None


@torch.no_grad()
def _activation(learner: Learner, images: Tensor, labels: Tensor) -> Tensor:
    """Compute the class activation maps (N, S, S), less the least of each; zeros for images without a label."""
    assert isinstance(learner, MapsClasses)  # no other method's `answers` pass the configuration
    maps = learner.class_maps(images, labels.clamp(min=0))[:, None].float()
    maps = F.interpolate(maps, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return (maps - maps.amin(dim=(1, 2), keepdim=True)).masked_fill((labels == UNLABELLED)[:, None, None], 0.0)


@contextlib.contextmanager
def _statistics_kept(learner: nn.Module) -> Iterator[None]:
    """Normalise by the batch's own statistics, as in training, and leave the running ones as they are."""
    norms = [
        each for each in learner.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm) and each.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
