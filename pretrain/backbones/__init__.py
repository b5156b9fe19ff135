"""The backbones. Adding an architecture is one entry of `BACKBONES` and, for a new family, one file.

An architecture says how its network is built, what its pooled features and its feature maps are, how its tensors are named,
and what a file of its weights must hold. Outside this package nobody needs the names of its layers.

Shapes: N images of S × S pixels; D pooled features; C, h, w channels, height and width of a feature map.
"""

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pretrain.core.errors import ConfigError

BACKBONES: dict[str, str] = {
    "resnet18": "resnet:RESNET18",
    "resnet34": "resnet:RESNET34",
    "resnet50": "resnet:RESNET50",
    "resnet101": "resnet:RESNET101",
    "vit_small": "vit:VIT_SMALL",
    "vit_base": "vit:VIT_BASE",
    "vit_small_mocov3": "vit:VIT_SMALL_MOCOV3",
    "vit_base_mocov3": "vit:VIT_BASE_MOCOV3",
}
"""Architecture → `MODULE:ENTRY`, a module of this package, imported when asked for."""
IMAGENET, SMALL = "imagenet", "small"
"""Stems: the published one, or the one for images of up to 64 pixels."""
PUBLISHED_SIZE = 224
"""Side in pixels of the images that the published networks are built for."""
Shapes = Mapping[str, tuple[int, ...]]
"""Names of tensors → their shapes."""


@dataclass(frozen=True)
class Variant:
    """What a network computes that its tensors don't show."""

    stride_in_1x1: bool = False
    """Whether a bottleneck halves the image in its first convolution, as MSRA's Caffe networks do, and not in its second."""
    eps: float | None = None
    """What norms add to a variance; None: what the library's network has."""


PUBLISHED = Variant()
"""The library's own network."""


class Architecture(ABC):
    """One entry of the table: an immutable value, of which equal ones build equal networks."""

    family: ClassVar[str]
    """What shares layers and names, for instance `resnet`: converters and checkpoint sources are made for families."""
    head: ClassVar[str]
    """Attribute of the library's classifier that holds its last, linear layer."""
    parts: ClassVar[frozenset[str]]
    """First words of the names of all that computes features, also in relatives which are not in the table."""
    names: ClassVar[re.Pattern[str]]
    """Matches the whole name of a tensor of any depth of this family."""
    first: ClassVar[str]
    """Name of the first layer's weight."""
    features: ClassVar[str]
    """What its pooled features are, in words: what probes and the representation measures read."""
    readings: ClassVar[Mapping[str, str]] = {}
    """What else they can read: the name of a reading → what it is, in words."""
    stems: ClassVar[tuple[str, ...]] = (IMAGENET,)
    """The first layers it can be built with."""
    multiple: ClassVar[int] = 1
    """The sides of images must be multiples of this."""
    averages: ClassVar[bool] = False
    """Whether its pooled features are the mean over its last map, so that what speaks for a class has places."""
    pyramid: ClassVar[bool] = False
    """Whether its maps halve in resolution from stride 4 to stride 32, as detectors and segmenters of today expect."""
    eps: ClassVar[float] = 1e-5
    """What the library's norms add to a variance."""
    scale_free: ClassVar[bool] = False
    """Whether a norm follows every weight, so that its scale changes no feature and usual training leaves it near a fresh
    network's; only then a large norm says how the weights were trained."""

    name: str
    """As in `--arch`."""
    width: int
    """D, the length of its pooled features."""
    map_names: tuple[str, ...]
    """What messages call each of its feature maps, early to late."""

    @abstractmethod
    def classifier(self, outputs: int, stem: str, size: int) -> nn.Module:
        """Draw the library's own classifier, with torch's global generator: images (N, 3, S, S) → (N, outputs).

        All that its forward pass needs must be in its state dict: `network` builds it without memory and fills that in.
        """

    @abstractmethod
    def maps(self, trunk: nn.Module, images: Tensor) -> list[Tensor]:
        """Compute the feature maps of a trunk, early to late, each (N, C, h, w), of normalised images (N, 3, H, W)."""

    def read(self, trunk: nn.Module, images: Tensor, reading: str) -> Tensor:
        """Compute what one of `readings` is (N, D') of normalised images (N, 3, H, W)."""
        raise ValueError(reading)

    def require_reading(self, reading: str) -> None:
        """Check that its features can be read in a way other than the usual one.

        Raises:
            ConfigError: If it has no such reading, with those that it has.
        """
        if reading in self.readings:
            return
        others = ", or ".join(f"{name}: {words}" for name, words in self.readings.items())
        raise ConfigError(
            f"the features of {self.name} can't be read as {reading!r}",
            seen=f"features {reading}",
            allowed=f"the usual ones, {self.features}" + (f"; {others}" if others else ""),
            fix="leave features away (--set features=...)",
        )

    @abstractmethod
    def fresh_norm(self, name: str, shape: tuple[int, ...]) -> float | None:
        """Return the expected Frobenius norm of a freshly drawn weight; None for what says nothing about scale."""

    def stem_of(self, shapes: Shapes) -> str:
        """Tell which of `stems` tensors of these shapes have."""
        return IMAGENET

    def size_of(self, shapes: Shapes) -> int:
        """Tell the side of the images that tensors of these shapes were built for, where a shape depends on it."""
        return PUBLISHED_SIZE

    def in_timm(self, shapes: Shapes) -> tuple[str, Mapping[str, Any]] | None:
        """Return timm's name of the network that tensors of these shapes make, and the arguments that it is made with there;
        None: timm makes none that computes the same.
        """
        return None

    @property
    def unseen(self) -> Mapping[str, Any]:
        """What a reader of the tensors must know and can't tell from them, for the file beside a converted backbone."""
        return {}

    @property
    def taken_for(self) -> str:
        """Return the entry that its tensors are taken for by names and shapes alone: itself, or a relative before it."""
        return self.name

    @property
    def assumed(self) -> str:
        """How files of others are read where their tensors leave it open, in words; empty where they don't."""
        return ""

    def build(self, outputs: int, *, stem: str = IMAGENET, size: int = PUBLISHED_SIZE) -> tuple[nn.Module, nn.Linear]:
        """Draw a trunk and a linear layer on top of it, with torch's global generator.

        Both come from one call because the libraries draw them in one: with a seed, the weights are the library's own.

        Args:
            outputs: Outputs of the linear layer.
            stem: One of `stems`.
            size: Side of the images in pixels, where a parameter's shape depends on it.

        Returns:
            The trunk, images (N, 3, S, S) → pooled features (N, D), and the layer (N, D) → (N, outputs).

        Raises:
            ConfigError: If the architecture has no such stem or can't see images of that size.
        """
        if stem not in self.stems:
            raise ConfigError.unknown(f"stem of {self.name}", stem, self.stems)
        self.require_size(size)
        model = self.classifier(outputs, stem, size)
        linear = getattr(model, self.head)
        assert isinstance(linear, nn.Linear)
        setattr(model, self.head, nn.Identity())
        return model, linear

    def zero_init_residual(self, trunk: nn.Module) -> None:  # noqa: B027
        """Let each residual block begin as the identity (arXiv:1706.02677, section 5.1); networks without such blocks stay."""

    def drop_paths(self, trunk: nn.Module, rate: float) -> None:  # noqa: B027
        """Let a trunk leave blocks out at random while it trains (stochastic depth, arXiv:1603.09382): none at its first block,
        with probability `rate` at its last. Networks without such blocks stay as they are.
        """

    def network(self, state: Mapping[str, Tensor], variant: Variant = PUBLISHED) -> nn.Module:
        """Build a trunk with copies of these tensors, in eval mode; stem and size are read off them. It draws no number."""
        shapes = shapes_of(state)
        with torch.device("meta"):
            trunk, _ = self.build(1, stem=self.stem_of(shapes), size=self.size_of(shapes))
        trunk.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, strict=True, assign=True)
        self.adapt(trunk, variant)
        return trunk.eval()

    def adapt(self, trunk: nn.Module, variant: Variant) -> None:
        """Make the library's network, or a part of it, compute what a variant does, in place.

        Raises:
            ConfigError: If the architecture has no such variant.
        """
        if variant.stride_in_1x1:
            raise ConfigError(
                f"{self.name} has no 1×1 convolutions that could be strided",
                seen="a stride in the 1×1",
                allowed="a ResNet of bottlenecks: ResNet-50 and deeper",
                fix="leave --stride-in away",
            )
        set_eps(trunk, variant.eps)

    def skeleton(self, *, stem: str = IMAGENET, size: int = PUBLISHED_SIZE) -> Mapping[str, Tensor]:
        """Name → tensor on the meta device of all that a file of this backbone holds, in the library's order."""
        return _skeleton(self, stem, size)

    def require_size(self, size: int, *, setting: str = "size") -> None:
        """Check that images of `size` × `size` pixels can be seen; `setting` is what messages call that size.

        Raises:
            ConfigError: If not, with the nearest sizes that can.
        """
        if size % self.multiple == 0 and size > 0:
            return
        below = size - size % self.multiple
        near = [str(side) for side in (below, below + self.multiple) if side > 0]
        raise ConfigError(
            f"{self.name} can't see images of {size} × {size} pixels",
            seen=f"{setting} {size}",
            allowed=f"multiples of {self.multiple}, the side of its patches",
            fix=f"--set {setting}={f' or {setting}='.join(near)}",
        )


@cache
def _skeleton(architecture: Architecture, stem: str, size: int) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        trunk, _ = architecture.build(1, stem=stem, size=size)
    return trunk.state_dict()


def set_eps(module: nn.Module, eps: float | None) -> None:
    """Set what every norm of a module adds to a variance, in place; None: it stays as it is."""
    for each in module.modules():
        if eps is not None and isinstance(each, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)):
            each.eps = eps


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """Return the shapes of named tensors."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def get(name: str) -> Architecture:
    """Return the architecture of that name.

    Raises:
        ConfigError: For an unknown name, with the nearest known one.
    """
    if name not in BACKBONES:
        raise ConfigError.unknown("architecture", name, BACKBONES)
    module, entry = BACKBONES[name].split(":")
    found: Architecture = getattr(importlib.import_module(f"pretrain.backbones.{module}"), entry)
    return found


def every() -> tuple[Architecture, ...]:
    """Return all architectures of the table, in its order; none is built."""
    return tuple(map(get, BACKBONES))
