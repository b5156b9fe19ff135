"""The backbones. Adding an architecture is one entry of `BACKBONES` and, for a new family, one file.

An architecture says how its network is built, what its pooled features and its feature maps are, and what a file of its
weights must hold; nothing outside this package knows the names of its layers.

Shapes: N images; D pooled features; C, h, w channels, height and width of a feature map.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from pretrain.core.errors import ConfigError

BACKBONES: dict[str, str] = {
    "resnet18": "resnet:RESNET18",
    "resnet34": "resnet:RESNET34",
    "resnet50": "resnet:RESNET50",
    "resnet101": "resnet:RESNET101",
}
"""Architecture → `module:ENTRY` in this package, imported when asked for."""
IMAGENET, SMALL = "imagenet", "small"
"""Stems: the published one, or the one for images of up to 64 pixels."""


class Architecture(ABC):
    """One line of the table."""

    name: str
    """As in `--arch`."""
    width: int
    """D, the length of its pooled features."""
    stems: ClassVar[tuple[str, ...]] = (IMAGENET,)
    """The first layers it can be built with."""

    @abstractmethod
    def build(self, outputs: int, *, stem: str = IMAGENET, size: int = 224) -> tuple[nn.Module, nn.Linear]:
        """Draw a network and a linear layer on top of it, with torch's global generator.

        Both come from one call because the libraries draw them in one: with a seed, the weights are the library's own.

        Args:
            outputs: Outputs of the linear layer.
            stem: One of `stems`.
            size: Side of the images in pixels, where a parameter depends on it.

        Returns:
            The trunk, images (N, 3, S, S) → pooled features (N, D), and the layer (N, D) → (N, outputs).
        """

    @abstractmethod
    def network(self, state: Mapping[str, Tensor]) -> nn.Module:
        """A trunk with these tensors, in eval mode; the stem is read off them."""

    @abstractmethod
    def maps(self, trunk: nn.Module, images: Tensor) -> list[Tensor]:
        """The feature maps of a trunk, early to late, each (N, C, h, w)."""

    @abstractmethod
    def map_names(self) -> tuple[str, ...]:
        """What messages call each of the maps."""

    @abstractmethod
    def skeleton(self) -> Mapping[str, Tensor]:
        """Name → tensor on the meta device of everything that a file of this backbone holds, with the published stem."""

    @abstractmethod
    def stem_of(self, state: Mapping[str, Tensor]) -> str:
        """Which of `stems` the tensors are of."""

    @abstractmethod
    def fresh_norm(self, name: str, tensor: Tensor) -> float | None:
        """Expected Frobenius norm of a freshly drawn weight; None for what says nothing about its scale."""


def get(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        ConfigError: For an unknown name, with the nearest known one.
    """
    if name not in BACKBONES:
        raise ConfigError.unknown("architecture", name, BACKBONES)
    module, entry = BACKBONES[name].split(":")
    found: Architecture = getattr(importlib.import_module(f"pretrain.backbones.{module}"), entry)
    return found
