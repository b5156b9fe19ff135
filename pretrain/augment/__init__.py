"""The augmentations on top of the base pipelines. Adding one is one file and one line of `AUGMENTATIONS`.

An augmentation is a frozen `Settings` class whose instances are pure functions of `(images, rng)`:
each image draws its own parameters, and what was done is returned, so that the loss decides what it means.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Generator, Tensor

from pretrain.errors import ConfigError
from pretrain.settings import Settings

AUGMENTATIONS: dict[str, str] = {
    "none": "none:NoAugmentation",
    "random-erasing": "random_erasing:RandomErasing",
    "cutout": "cutout:CutOut",
    "cutmix": "cutmix:CutMix",
    "mixup": "mixup:MixUp",
}
"""Augmentation name → `module:Class` in this package."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch after an augmentation, with what was mixed into each image."""

    images: Tensor
    """(N, 3, H, W), normalised like the input."""
    partner: Tensor | None = None
    """(N,) index of the image blended in; None where nothing was mixed."""
    weight: Tensor | None = None
    """(N,) share of the image itself, in [0, 1]; its partner has the rest."""


class Augmentation(Protocol):
    """What every augmentation is."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment (N, 3, H, W) normalised images, where 0 is the data set's mean colour."""


def make(name: str, options: Mapping[str, Any] | None = None) -> Augmentation:
    """The augmentation of that name with options.

    Raises:
        ConfigError: For an unknown name or option, with the nearest known one.
    """
    if name not in AUGMENTATIONS:
        raise ConfigError.unknown("augmentation", name, AUGMENTATIONS)
    module, cls = AUGMENTATIONS[name].split(":")
    settings: type[Settings] = getattr(importlib.import_module(f"pretrain.augment.{module}"), cls)
    return cast(Augmentation, settings.read(options or {}, where=f"the options of {name}"))


def box_mask(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, height: int, width: int) -> Tensor:
    """(N, 1, H, W) true inside each image's box; edges (N,) in pixels, bottom and right exclusive."""
    rows = torch.arange(height, device=top.device)
    columns = torch.arange(width, device=top.device)
    inside_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < right[:, None])
    return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
