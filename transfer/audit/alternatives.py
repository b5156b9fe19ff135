"""Other ways to read a checkpoint: what it may have seen, and what it may have computed between its norms."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from pretrain.images.normalise import IMAGENET, Input
from transfer.sources import Backbone
from transfer.sources.recipe import CAFFE, LARGEST, OPTIONS, Recipe, described, relevant

ZERO, ONE, HALF = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5)
BYTE_LIKE = 0.02
"""Deviations below this are of a network for pixels of 0 to 255: 5 of them."""
BYTES = (1 / LARGEST, 1 / LARGEST, 1 / LARGEST)
INPUTS: dict[str, Input] = {
    "RGB with ImageNet's mean and deviation": IMAGENET,
    "RGB of 0 to 1": Input("RGB", ZERO, ONE),
    "RGB of −1 to 1": Input("RGB", HALF, HALF),
    "RGB of 0 to 255": Input("RGB", ZERO, BYTES),
    "RGB of 0 to 255 less ImageNet's mean": Input("RGB", IMAGENET.mean, BYTES),
    "BGR of 0 to 255 less ImageNet's mean": CAFFE.seen,
}
"""What networks see that are published."""
RANGE_MARGIN, ORDER_MARGIN, FUNCTION_MARGIN = 1.75, 0.8, 0.3
"""By how much, in logarithms, the distance of another reading must be smaller to be spoken of: of another range, mean or
deviation; of the other order of channels; of another network. See `docs/checkpoints.md`, which says how often each is noticed
and how often wrongly, and `tests/benchmarks/audit_power.py`, which measures it."""


@dataclass(frozen=True)
class Alternative:
    """Another reading."""

    title: str
    """What it would be, in words."""
    margin: float
    """By how much it must fit better."""
    how: str = ""
    """Options that say it; empty: it is not built here."""

    @property
    def factor(self) -> float:
        """How many times as near it must be."""
        return math.exp(self.margin)


@dataclass(frozen=True)
class Seen(Alternative):
    """Another input."""

    seen: Input = IMAGENET


@dataclass(frozen=True)
class Function(Alternative):
    """Another network behind the same tensors."""

    change: Callable[[nn.Module], None] = lambda network: None
    """Makes the declared network this one, in place."""


def inputs(declared: Input) -> Iterator[Seen]:
    """Yield what else a network may see."""
    other: Literal["RGB", "BGR"] = "BGR" if declared.order == "RGB" else "RGB"
    flipped = Input(other, declared.mean[::-1], declared.std[::-1])
    others = {f"{other}, with the same mean and deviation of each colour": flipped, **INPUTS}
    for title, seen in others.items():
        if seen != declared and (seen != flipped or title not in INPUTS):
            same = sorted(seen.mean + seen.std) == sorted(declared.mean + declared.std)
            yield Seen(title, ORDER_MARGIN if same else RANGE_MARGIN, _options(seen), seen)


def functions(backbone: Backbone) -> Iterator[Function]:
    """Yield what else a network may compute."""
    if "stride" in relevant(backbone.architecture):
        other = "3x3" if backbone.recipe.variant.stride_in_1x1 else "1x1"
        title = f"strides in the {other.replace('x', '×')} convolutions"
        yield Function(title, FUNCTION_MARGIN, f"{OPTIONS['stride']} {other}", move_strides)
    yield Function("images halved by blurring or average pooling (anti-aliased)", FUNCTION_MARGIN, "", anti_alias)
    yield Function("another activation, smooth like SiLU", FUNCTION_MARGIN, "", smooth)


def move_strides(network: nn.Module) -> None:
    """Move the stride of each bottleneck into its other convolution."""
    from torchvision.models.resnet import Bottleneck

    for block in network.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def anti_alias(network: nn.Module) -> None:
    """Halve by an average instead of a strided 3 × 3 convolution (as timm's `aa_layer`, after norm and activation)."""
    from torchvision.models.resnet import BasicBlock, Bottleneck

    for block in network.modules():
        strided, after = ("conv2", "conv3") if isinstance(block, Bottleneck) else ("conv1", "conv2")
        if isinstance(block, (BasicBlock, Bottleneck)) and max(getattr(block, strided).stride) > 1:
            getattr(block, strided).stride = (1, 1)
            setattr(block, after, nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), getattr(block, after)))


def smooth(network: nn.Module) -> None:
    """Replace each ReLU."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.SiLU())


def read_as(backbone: Backbone) -> str:
    """Say in words how a backbone's input is read."""
    return described(backbone.recipe, ("order", "mean", "std"), backbone.architecture)


def function_of(backbone: Backbone) -> str:
    """Say in words what a backbone's network is taken for."""
    names = [name for name in ("stride", "eps") if name in relevant(backbone.architecture)]
    return f"the library's {backbone.arch} with {described(backbone.recipe, names, backbone.architecture)}"


def _options(seen: Input) -> str:
    plain = Recipe(seen).plain()
    largest = LARGEST if max(seen.std) < BYTE_LIKE and max(seen.mean) > 0 else 1.0  # a number above 1 says that all are
    said = {"order": seen.order, **{name: _numbers(plain[name], largest) for name in ("mean", "std")}}
    return " ".join(f"{OPTIONS[name]} {value}" for name, value in said.items())


def _numbers(values: list[float], largest: float) -> str:
    scaled = [f"{value * largest:.6g}" for value in values]
    return scaled[0] if len(set(scaled)) == 1 else ",".join(scaled)
