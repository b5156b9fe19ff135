"""What an augmentation returns: the images, and what was blended into each.

Shapes: N images, H rows, W columns, S sources of a blend.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch after an augmentation, with the sources of each image."""

    images: Tensor
    """(N, 3, H, W), normalised like the input."""
    sources: Tensor | None = None
    """(N, S) indices of the images in each blend, the image itself first; None if nothing was blended."""
    weights: Tensor | None = None
    """(N, S) weights of the sources; each row adds up to 1, but where labels count by what is seen of their class (SnapMix)."""

    def blended(self) -> Tensor:
        """Tell (N,) which images hold a part of another one."""
        if self.sources is None or self.weights is None:
            return torch.zeros(len(self.images), dtype=torch.bool, device=self.images.device)
        others = self.sources != torch.arange(len(self.images), device=self.images.device)[:, None]
        return (others & (self.weights > 0)).any(dim=1)


class Augmentation(Protocol):
    """The interface of every augmentation."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment (N, 3, H, W) normalised images, where 0 is the data set's mean colour.

        Args:
            images: The batch. Not modified.
            rng: Source of all randomness, on the CPU wherever the images are.
        """


def pairs(partner: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Make `sources` and `weights` (N, 2) of blending each image, which has `weight` (N,), with its `partner` (N,)."""
    itself = torch.arange(len(partner), device=partner.device)
    return torch.stack([itself, partner], dim=1), torch.stack([weight, 1 - weight], dim=1)
