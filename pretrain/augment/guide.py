"""What some augmentations ask the network that is being trained: which pixels of an image matter.

Shapes: N images, H rows, W columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from pydantic import PrivateAttr
from torch import Tensor

from pretrain.augment.asking import Asked
from pretrain.augment.blend import BetaBlend


@dataclass(frozen=True, slots=True)
class Guide:
    """What the network says of one view of a batch."""

    images: Tensor
    """(N, 3, H, W), the view before any augmentation, normalised."""
    maps: Mapping[Asked, Tensor]
    """(N, H, W) of every kind that was asked for, not negative. An image with zeros everywhere has none."""


class Guided(BetaBlend):
    """Base of the augmentations that ask the network. Without an answer every pixel of an image matters alike."""

    _guide: Guide | None = PrivateAttr(default=None)

    def guided(self, guide: Guide) -> Self:
        """Return the same augmentation, which follows what the network says of the batch."""
        copy = self.model_copy()
        copy._guide = guide
        return copy


def shares_of(maps: Tensor) -> Tensor:
    """Divide maps (N, ...) by their sums: what each place has of its image. Where there is no map, all places have the same."""
    flat = maps.flatten(1).double()
    total = flat.sum(dim=1, keepdim=True)
    shares = torch.where(total > 0, flat / total, 1 / flat.shape[1])
    return shares.view_as(maps)
