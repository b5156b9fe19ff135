"""Frozen features of images: the architecture's pooled features or another of its readings, norms in eval mode."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from pretrain.backbones import Architecture
from pretrain.core import devices
from pretrain.images.crops import CentreCrop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, InOrder, in_order, loader
from pretrain.images.normalise import IMAGENET, Input
from pretrain.inputs import normalised
from transfer import prove
from transfer.sources import Backbone
from transfer.tasks.probe import USUAL


class Reader(nn.Module):
    """A trunk of which another of its architecture's readings is taken: images (N, 3, S, S) → features (N, D')."""

    def __init__(self, architecture: Architecture, trunk: nn.Module, reading: str) -> None:
        super().__init__()
        architecture.require_reading(reading)
        self.architecture, self.trunk, self.reading = architecture, trunk, reading

    def forward(self, images: Tensor) -> Tensor:
        """Read the features."""
        return self.architecture.read(self.trunk, images, self.reading)


def reading_note(architecture: Architecture, reading: str) -> tuple[str, ...]:
    """Say what is read of a backbone; nothing where it is the usual."""
    return () if reading == USUAL else (f"features {reading}: {architecture.readings[reading]}",)


def extractor(backbone: Backbone, device: str, reading: str = USUAL) -> tuple[nn.Module, dict[str, float]]:
    """Build what reads frozen features, normalised images (N, 3, S, S) → features (N, D), and prove that it is the backbone.

    Raises:
        ConfigError: If the architecture has no such reading.
    """
    devices.of_one_size(device)
    model = backbone.network()
    proof = prove.prove(backbone, model.state_dict(), partial(backbone.architecture.maps, model), backbone.network())
    model = model if reading == USUAL else Reader(backbone.architecture, model, reading)
    model.requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval(), proof


def centre_features(
    model: nn.Module,
    images: ImageSet,
    seen: Input = IMAGENET,
    *,
    size: int,
    batch: int,
    num_workers: int,
    device: str,
    batches: InOrder | None = None,
) -> Iterator[Tensor]:
    """Yield the features (N, D), on the CPU, of every image's centre crop of `size` × `size` pixels, batch after batch.

    The model sees them as `seen` says. The batches come in the images' order, or are those of `batches`.
    """
    crops = Crops(images, images.labels, [CentreCrop(size)], seed=0)
    batches = in_order(len(images), batch) if batches is None else batches
    for views, _, _ in loader(crops, batches, num_workers=num_workers):
        with torch.inference_mode():
            features: Tensor = model(normalised(views[0].to(device).float() / 255, seen)).cpu()
        yield features
