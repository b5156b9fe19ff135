"""What a backbone's tensors don't show: what it sees, where it is strided, what its norms add; who says so, what is assumed.

Whatever a file, its neighbours, a line of the table or the user says of it is a `Said`. All that is said must agree; what
nobody says is read as the source declares, and called assumed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from pretrain.backbones import PUBLISHED, Architecture, Variant
from pretrain.core.errors import CheckpointError
from pretrain.images.normalise import IMAGENET, Channels, Input

FIELDS = ("order", "mean", "std", "stride", "eps")
"""What makes a recipe, under the names that files of this project and records have."""
STRIDES = ("3x3", "1x1")
"""Which convolution of a bottleneck may be strided."""
LARGEST = 255.0
"""Of an image's pixels as bytes."""
ALIKE = 1e-4
"""Largest difference of means, of pixels of 0 to 1, that are one: a fortieth of a byte's step. ImageNet's is printed with three
digits or as bytes."""
NEAR = 1e-3
"""Largest relative difference of deviations that are one."""


@dataclass(frozen=True)
class Recipe:
    """How a backbone's tensors become a function of images."""

    seen: Input = IMAGENET
    variant: Variant = PUBLISHED

    def parts(self) -> tuple[Input, Variant]:
        """Return what it sees and what it computes."""
        return self.seen, self.variant

    def plain(self) -> dict[str, Any]:
        """Return its fields: mean and deviation of pixels of 0 to 1, in the order of the channels; eps null: the library's."""
        return {
            "order": self.seen.order,
            "mean": list(self.seen.mean),
            "std": list(self.seen.std),
            "stride": STRIDES[self.variant.stride_in_1x1],
            "eps": self.variant.eps,
        }

    def fields(self) -> dict[str, Any]:
        """Return the fields that are its own, as a `Said` has them."""
        return {name: tuple(v) if isinstance(v, list) else v for name, v in self.plain().items() if v is not None}

    def differences(self) -> dict[str, Any]:
        """Return what differs from the usual: RGB, ImageNet's mean and deviation, the library's network."""
        usual = Recipe().plain()
        return {name: value for name, value in self.plain().items() if value != usual[name]}

    def replaced(self, fields: Mapping[str, Any]) -> "Recipe":
        """Return it with other values of some fields."""
        plain = {**self.plain(), **fields}
        seen = Input(plain["order"], _three(plain["mean"]), _three(plain["std"]))
        return Recipe(seen, Variant(plain["stride"] == STRIDES[1], plain["eps"]))


USUAL = Recipe()
CAFFE = Recipe(
    Input("BGR", (103.53 / LARGEST, 116.28 / LARGEST, 123.675 / LARGEST), (1 / LARGEST, 1 / LARGEST, 1 / LARGEST)),
    Variant(stride_in_1x1=True),
)
"""MSRA's ResNets, as Detectron2 and MMDetection read them: BGR of 0 to 255 less ImageNet's mean, strides in the 1×1."""


@dataclass(frozen=True)
class Said:
    """What someone says of a backbone."""

    where: str
    """Who, for messages: `config.json beside it`."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Some of `FIELDS`, mean and deviation of pixels of 0 to 1."""
    architecture: str | None = None
    """What it is called there."""
    other: str = ""
    """What makes it a function that no architecture here computes, in words."""
    unknown: tuple[str, ...] = ()
    """Arguments of the network, with their values, of which nobody here knows whether they change it."""


def statement(where: str, said: Mapping[str, Any], *, largest: float | None = None, **more: Any) -> Said:
    """Make a `Said` of values as they were found: what has no meaning as its field is left out.

    Args:
        where: Who says it.
        said: Field → value.
        largest: Of the pixels that mean and deviation are of, 1 or 255; None: 255 where one of them is above 1.
        more: Other fields of `Said`.
    """
    fields = {name: value for name in FIELDS if (value := _valid(name, said.get(name))) is not None}
    both = [*fields.get("mean", ()), *fields.get("std", ())]
    largest = largest or (LARGEST if any(value > 1 for value in both) else 1.0)
    for name in {"mean", "std"} & fields.keys():
        fields[name] = tuple(value / largest for value in fields[name])
    return Said(where, fields, **more)


def _valid(name: str, value: Any) -> Any:
    """Return a value of a field as it is kept; None for what is none."""
    if name in ("mean", "std"):
        values = [value] * 3 if _is_number(value) else value
        if not isinstance(values, (list, tuple)) or len(values) != 3 or not all(map(_is_number, values)):
            return None
        return tuple(map(float, values)) if name == "mean" or all(each > 0 for each in values) else None
    if name == "eps":
        return float(value) if _is_number(value) and 0 < value < 1 else None
    words = {"order": ("RGB", "BGR"), "stride": STRIDES}[name]
    return value if isinstance(value, str) and value in words else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def settled(
    architecture: Architecture, path: Path, every: Sequence[Said], declared: Recipe = USUAL
) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe that all agree on, and the fields that nobody says, which are read as declared.

    Who says ImageNet's mean backwards says that channels are BGR.

    Args:
        architecture: What the tensors are of.
        path: The file, for messages.
        every: All that is said.
        declared: How the source's files are read where nothing is said.

    Raises:
        CheckpointError: If it is a function that is not built here, or two contradict each other.
    """
    for each in every:
        if each.other or each.architecture not in (None, architecture.name):
            raise _another_network(path, each, architecture)
    fields: dict[str, tuple[str, Any]] = {}
    for each in every:
        for name, value in each.fields.items():
            first = fields.setdefault(name, (each.where, value))
            if not _agree(name, first[1], value):
                raise _contradiction(path, name, first, (each.where, value))
    mean = fields.get("mean")
    if mean is not None and _agree("mean", mean[1], IMAGENET.mean[::-1]):
        fields.setdefault("order", (mean[0], "BGR"))
    recipe = _usual(declared.replaced({name: value for name, (_, value) in fields.items()}), architecture)
    return recipe, tuple(name for name in relevant(architecture) if name not in fields)


def relevant(architecture: Architecture) -> tuple[str, ...]:
    """List the fields that an architecture has: only bottlenecks may be strided elsewhere."""
    return tuple(name for name in FIELDS if name != "stride" or getattr(architecture, "bottleneck", False))


def _usual(recipe: Recipe, architecture: Architecture) -> Recipe:
    """Write what equals the usual as the usual, so that a backbone has one recipe whoever words it."""
    seen, variant = recipe.seen, recipe.variant
    seen = replace(seen, mean=_printed("mean", seen.mean), std=_printed("std", seen.std))
    if variant.eps is not None and _agree("eps", variant.eps, architecture.eps):
        variant = replace(variant, eps=None)
    if "stride" not in relevant(architecture):
        variant = replace(variant, stride_in_1x1=False)
    return Recipe(seen, variant)


def _printed(name: str, value: Channels) -> Channels:
    """Return ImageNet's mean or deviation, in either order, as it is printed, where a value is that; else the value."""
    known: Channels = getattr(IMAGENET, name)
    return next((each for each in (known, known[::-1]) if _agree(name, value, each)), value)


def _agree(name: str, one: Any, other: Any) -> bool:
    if name in ("mean", "std"):
        near = {"abs_tol": ALIKE, "rel_tol": 0.0} if name == "mean" else {"rel_tol": NEAR}
        return all(math.isclose(a, b, **near) for a, b in zip(one, other, strict=True))
    return math.isclose(one, other, rel_tol=NEAR) if name == "eps" else bool(one == other)


def _three(values: Sequence[float]) -> Channels:
    return cast(Channels, tuple(values))


def _another_network(path: Path, said: Said, architecture: Architecture) -> CheckpointError:
    why = said.other or f"it says {said.architecture}"
    return CheckpointError(
        f"{path} is of another network behind the names of {architecture.name}: {why}",
        seen=f"{said.where}: {said.architecture or why}",
        allowed=f"{architecture.name} as its library builds it; or with strides in the 1×1 convolutions, or with another eps",
        fix="take another checkpoint: these weights would compute other features; or, where that is said of something else, "
        "move its file away, or save the state_dict alone",
    )


def _contradiction(path: Path, name: str, first: tuple[str, Any], second: tuple[str, Any]) -> CheckpointError:
    return CheckpointError(
        f"it is not clear how {path} is to be read: two contradict each other",
        seen=f"{name}: {worded(first[1])} by {first[0]}, {worded(second[1])} by {second[0]}",
        allowed="one answer",
        fix=f"leave away or move away what is wrong, such as {second[0]}",
    )


def worded(value: Any) -> str:
    """Write a field's value for people."""
    return "(" + ", ".join(f"{each:.4g}" for each in value) + ")" if isinstance(value, (tuple, list)) else str(value)


def by_hand(told: Mapping[str, Any], architecture: Architecture) -> Said:
    """Check what the user says: field → value, None for what isn't said.

    Raises:
        CheckpointError: For a value that its field can't have, or a field that the architecture lacks.
    """
    given = {name: value for name, value in told.items() if value is not None}
    said = statement(" ".join(OPTIONS[name] for name in given), given)
    for name, value in given.items():
        if name not in said.fields:
            raise CheckpointError(f"not a value of {OPTIONS[name]}", seen=value, allowed=ALLOWED[name])
        if name not in relevant(architecture):
            raise CheckpointError(
                f"{architecture.name} has no bottlenecks, whose 1×1 convolutions could be strided",
                seen=f"{OPTIONS[name]} {value}",
                allowed="ResNet-50 and deeper",
                fix=f"leave {OPTIONS[name]} away",
            )
    return said


OPTIONS = {"order": "--input-order", "mean": "--mean", "std": "--std", "stride": "--stride-in", "eps": "--eps"}
"""Field → the option by which the user says it."""
ALLOWED = {
    "order": "RGB or BGR",
    "mean": "three numbers in the order of the channels, or one for all: of pixels of 0 to 1, or of 0 to 255 if any is above 1",
    "std": "three numbers above 0, or one for all: of pixels as the mean",
    "stride": "3x3 or 1x1",
    "eps": "a number above 0 and below 1, such as 1e-3",
}
TITLES: dict[str, str] = {
    "order": "{}",
    "mean": "mean {}",
    "std": "deviation {}",
    "stride": "strides in the {} convolutions",
    "eps": "eps {}",
}


def described(recipe: Recipe, names: Sequence[str], architecture: Architecture) -> str:
    """Say some fields of a recipe in words."""
    plain: dict[str, Any] = {**recipe.plain(), "eps": recipe.variant.eps or architecture.eps}
    if recipe.seen == IMAGENET and {"mean", "std"} <= set(names):
        words = {"mean": "ImageNet's mean and deviation", "std": ""}
    else:
        words = {}
    said = [words.get(name, TITLES[name].format(worded(plain[name]).replace("x", "×"))) for name in names]
    return ", ".join(filter(None, said))
