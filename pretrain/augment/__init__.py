"""The augmentations on top of the base pipelines. Adding one is one file and one line of `AUGMENTATIONS`.

An augmentation is a frozen `Settings` class whose instances are pure functions of `(images, rng)`:
each image draws its own parameters, and what was done is returned, so that the loss decides what it means.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings

if TYPE_CHECKING:  # the leaderboard reads the table, and does without torch
    from torch import Generator, Tensor


class Listed(NamedTuple):
    """Where an augmentation is defined, and what it does to an image."""

    where: str
    """`module:Class` in this package."""
    kind: Literal["none", "mask", "blend"]
    """Nothing, blanking a region of the image, or blending other images of the batch into it."""


AUGMENTATIONS: dict[str, Listed] = {
    "none": Listed("none:NoAugmentation", "none"),
    "random-erasing": Listed("random_erasing:RandomErasing", "mask"),
    "cutout": Listed("cutout:CutOut", "mask"),
    "cutmix": Listed("cutmix:CutMix", "blend"),
    "mixup": Listed("mixup:MixUp", "blend"),
}
"""Augmentation name → its class and its kind."""
JOIN = "+"
"""Between the names of a composition."""
Composition = Literal["draw", "turn"]


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch after an augmentation, with what was blended into each image."""

    images: Tensor
    """(N, 3, H, W), normalised like the input."""
    sources: Tensor | None = None
    """(N, S) index of each image of a blend, the image itself first; None where nothing was blended."""
    weights: Tensor | None = None
    """(N, S) their shares, each row adding up to 1."""


class Augmentation(Protocol):
    """What every augmentation is."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment (N, 3, H, W) normalised images, where 0 is the data set's mean colour."""


def make(name: str, options: Mapping[str, Any] | None = None, *, composition: Composition = "draw") -> Augmentation:
    """The augmentation of that name with options, or several joined by `+`.

    Args:
        name: A name of the table, or for instance `cutmix+mixup`.
        options: Its fields; for several, a mapping of name to fields.
        composition: `draw`: one of them for each image, all as likely; `turn`: one after the other.

    Raises:
        ConfigError: For an unknown name or option, with the nearest known one.
    """
    from pretrain.augment.compose import Compose

    options = options or {}
    names = name.split(JOIN)
    if len(names) == 1:
        return _single(name, options)
    for key in options:
        if key not in names:
            raise ConfigError.unknown(f"part of {name} in aug_options:", str(key), names)
    parts = tuple(_single(part, _fields(part, options.get(part, {}))) for part in names)
    return Compose(parts, composition)


def _single(name: str, options: Mapping[str, Any]) -> Augmentation:
    if name not in AUGMENTATIONS:
        raise ConfigError.unknown("augmentation", name, AUGMENTATIONS)
    module, cls = AUGMENTATIONS[name].where.split(":")
    settings: type[Settings] = getattr(importlib.import_module(f"pretrain.augment.{module}"), cls)
    return cast(Augmentation, settings.read(options, where=f"the options of {name}"))


def _fields(name: str, options: Any) -> Mapping[str, Any]:
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"the options of {name} are no mapping", seen=options, allowed=f"aug_options={{{name}: {{field: value}}}}"
        )
    return options


def pairs(partner: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """`sources` and `weights` (N, 2) of blending each image, which has `weight` (N,), with its `partner` (N,)."""
    import torch

    itself = torch.arange(len(partner), device=partner.device)
    return torch.stack([itself, partner], dim=1), torch.stack([weight, 1 - weight], dim=1)


def box_mask(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, height: int, width: int) -> Tensor:
    """(N, 1, H, W) true inside each image's box; edges (N,) in pixels, bottom and right exclusive."""
    import torch

    rows = torch.arange(height, device=top.device)
    columns = torch.arange(width, device=top.device)
    inside_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < right[:, None])
    return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
