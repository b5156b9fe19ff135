"""The images that an audit looks at."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pretrain.backbones import PUBLISHED_SIZE, SMALL
from pretrain.core.errors import DataError
from pretrain.images.crops import CentreCrop
from transfer.datasets.decoding import Content, listed
from transfer.datasets.imagefolder import ClassificationData
from transfer.datasets.objects import DetectionData
from transfer.sources import Backbone

IMAGES, FEWEST = 64, 8
"""Images at most, and those that say something."""
PIXELS = 32 * 224 * 224
"""Of all images together, at most: an audit takes seconds, also without a GPU."""
SMALL_SIZE = 32
"""Side of an image for networks with the stem for small images, where nobody says what they were trained on."""


def size(backbone: Backbone) -> int:
    """Return the side of the images, in pixels, that a backbone was trained on, as far as is known."""
    usual = SMALL_SIZE if backbone.stem == SMALL else PUBLISHED_SIZE
    said = backbone.provenance.changed.get("size", usual)
    return said if isinstance(said, int) and said >= SMALL_SIZE else usual


def pixels(content: Content, side: int) -> Tensor:
    """Read the centre crops (N, 3, S, S) of training images, evenly spaced, in [0, 1]; those that can't be read are left out.

    Args:
        content: The data set.
        side: S, in pixels.
    """
    total = len(content.train)
    count = min(total, IMAGES, max(FEWEST, PIXELS // side**2))
    indices = [number * total // count for number in range(count)]
    crop, found = CentreCrop(side), []
    for image in listed(_part(content, indices)):
        try:
            picture = torch.from_numpy(image.decode().copy()).permute(2, 0, 1)
        except (DataError, OSError):
            continue
        (box,) = crop.boxes(np.array([[picture.shape[2], picture.shape[1]]]), np.empty(0))
        found.append(crop.cut(picture, tuple(box)))
    return torch.cat(found).float() / 255 if found else torch.empty(0, 3, side, side)


def _part(content: Content, indices: list[int]) -> Content:
    """Select training images; listing a million to take a few would be slow."""
    if isinstance(content, ClassificationData):
        return replace(content, train=content.train.part(indices), val=content.val.part([]))
    if isinstance(content, DetectionData):
        return replace(content, train=tuple(content.train[index] for index in indices), val=())
    return replace(content, train=tuple(content.train[index] for index in indices), val=())
