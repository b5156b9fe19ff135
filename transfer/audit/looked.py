"""A backbone's norms on some images, as it is read and as it might be: all distances that an audit compares."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from pretrain.images.normalise import IMAGENET, Input
from pretrain.inputs import normalised
from transfer.audit import alternatives, distance
from transfer.audit.alternatives import Alternative, Function, Seen
from transfer.sources import Backbone

A = TypeVar("A", bound=Alternative)


class Looked:
    """Some images (N, 3, S, S), RGB in [0, 1], on the device to compute on, seen by a backbone that has batch norms.

    They are also taken with mean and deviation of each colour as ImageNet's have them: what a network saw in training had
    these or, where it was trained on such images, the user's own.
    """

    def __init__(self, backbone: Backbone, pixels: Tensor) -> None:
        self.backbone, self.images, self._device = backbone, len(pixels), pixels.device
        self._first = partial(distance.first, self._network())
        self._versions = (pixels, likened(pixels))

    @cached_property
    def inputs(self) -> tuple[float, dict[Seen, float]]:
        """The distance at the first norm with the declared input, and with others."""
        declared = self.backbone.recipe.seen
        return self._at_first(declared), {other: self._at_first(other.seen) for other in alternatives.inputs(declared)}

    @cached_property
    def functions(self) -> tuple[float, dict[Function, float]]:
        """The typical distance after the first norm in the declared network, and in others."""
        seen = self.backbone.recipe.seen
        pixels = min(self._versions, key=lambda version: self._first(normalised(version, seen)))
        images = normalised(pixels, seen)
        others = {other: self._after(images, other.change) for other in alternatives.functions(self.backbone)}
        return self._after(images, lambda network: None), others

    def _at_first(self, seen: Input) -> float:
        return min(self._first(normalised(version, seen)) for version in self._versions)

    def _after(self, images: Tensor, change: Callable[[nn.Module], None]) -> float:
        network = self._network()
        change(network)
        return float(distance.each(network, images)[1:].log().mean().exp())

    def _network(self) -> nn.Module:
        return self.backbone.network().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def likened(pixels: Tensor) -> Tensor:
    """Give images (N, 3, S, S) the mean and deviation that each colour of ImageNet's has."""
    mean, std = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    own, spread = pixels.mean((0, 2, 3), keepdim=True), pixels.std((0, 2, 3), keepdim=True)
    return (pixels - own) / spread.clamp(min=1 / 255) * std + mean


def clearest(declared: float, others: Mapping[A, float]) -> tuple[A, float] | None:
    """Return the reading that fits best of those that fit better than the declared one by more than their margin."""
    clear = [(other, found) for other, found in others.items() if found * other.factor < declared]
    return min(clear, key=lambda pair: pair[1], default=None)
