"""The augmentations on top of the base pipelines. Adding one takes one file and one line of `AUGMENTATIONS`.

An augmentation is a frozen `Settings` class whose instances are pure functions of `(images, rng)`: each image draws its own
parameters, and the result (`Mixed`) says what was blended, so that the loss decides what that means for the target.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from pretrain.augment.asking import Asked
from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings

if TYPE_CHECKING:  # the leaderboard reads the table, and does without torch
    from pretrain.augment.blend import Blend
    from pretrain.augment.compose import Composition
    from pretrain.augment.mixed import Augmentation


class Listed(NamedTuple):
    """Where an augmentation is defined, and what it does to an image."""

    where: str
    """`module:Class` in this package."""
    kind: Literal["none", "mask", "blend"]
    """Nothing, blanking a region of the image, or blending other images of the batch into it (then it is a `Blend`)."""
    asks: Asked | None = None
    """What it asks the network that is trained (then it is a `Guided`)."""


AUGMENTATIONS: dict[str, Listed] = {
    "none": Listed("none:NoAugmentation", "none"),
    "random-erasing": Listed("random_erasing:RandomErasing", "mask"),
    "cutout": Listed("cutout:CutOut", "mask"),
    "cutmix": Listed("cutmix:CutMix", "blend"),
    "mixup": Listed("mixup:MixUp", "blend"),
    "resizemix": Listed("resizemix:ResizeMix", "blend"),
    "fmix": Listed("fmix:FMix", "blend"),
    "gridmix": Listed("gridmix:GridMix", "blend"),
    "puzzlemix": Listed("puzzlemix:PuzzleMix", "blend", "saliency"),
    "snapmix": Listed("snapmix:SnapMix", "blend", "class activation"),
}
"""Augmentation name → its class and its kind."""
JOIN = "+"
"""Separates the names of a composition."""


def asked(name: str) -> tuple[Asked, ...]:
    """List what an augmentation, or one of several joined by `+`, asks the network; names that aren't known ask nothing."""
    listed = (AUGMENTATIONS[part].asks for part in name.split(JOIN) if part in AUGMENTATIONS)
    return tuple(dict.fromkeys(asks for asks in listed if asks is not None))


def make(
    name: str, options: Mapping[str, Any] | None = None, *, composition: Composition = "draw", folded: bool = False
) -> Augmentation:
    """Build the augmentation of that name, or several joined by `+`.

    Args:
        name: A name of the table, or for instance `cutmix+mixup`.
        options: Fields of the augmentation; for several, a mapping of name to fields.
        composition: `draw`: one of them for each image, with equal probability; `turn`: one after the other.
        folded: Whether every image keeps a share of at least a half of its blend, as `Method.folds` says.

    Raises:
        ConfigError: For an unknown name or option, with the nearest known one.
    """
    from pretrain.augment.compose import Compose  # imports torch

    options = options or {}
    names = name.split(JOIN)
    if len(names) == 1:
        return _single(name, options, folded)
    for key in options:
        if key not in names:
            raise ConfigError.unknown(f"part of {name} in aug_options:", str(key), names)
    parts = tuple(_single(part, _fields(part, options.get(part, {})), folded) for part in names)
    return Compose(parts, composition)


def _single(name: str, options: Mapping[str, Any], folded: bool) -> Augmentation:
    if name not in AUGMENTATIONS:
        raise ConfigError.unknown("augmentation", name, AUGMENTATIONS)
    module, cls = AUGMENTATIONS[name].where.split(":")
    settings: type[Settings] = getattr(importlib.import_module(f"pretrain.augment.{module}"), cls)
    made = settings.read(options, where=f"the options of {name}")
    if folded and AUGMENTATIONS[name].kind == "blend":
        made = cast("Blend", made).folded()
    return cast("Augmentation", made)


def _fields(name: str, options: Any) -> Mapping[str, Any]:
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"the options of {name} are no mapping", seen=options, allowed=f"aug_options={{{name}: {{field: value}}}}"
        )
    return options
