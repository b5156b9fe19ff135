"""Images resized to a bounded short side."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pretrain.images.decode import Picture, reductions
from pretrain.images.imageset import ImageSet


@dataclass(frozen=True)
class DecodedPicture:
    """An image that is already decoded."""

    decoded: Tensor
    """(3, H, W) uint8."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.decoded.shape[2], self.decoded.shape[1]

    def pixels(self) -> Tensor:
        """Return the image, (3, H, W) uint8."""
        return self.decoded


@dataclass(frozen=True)
class ShrunkImages:
    """Images that are resized with an antialiased bilinear filter if their short side is longer than `side`."""

    images: ImageSet
    """The image files."""
    side: int
    """Largest short side, in pixels."""
    reduced: bool
    """Whether JPEGs much larger than that are decoded at a fraction of their size."""

    def __len__(self) -> int:
        return len(self.images)

    def shape(self, index: int) -> tuple[int, int]:
        """Compute an image's height and width in pixels, from its header alone.

        Raises:
            DataError: If the header can't be read.
        """
        width, height = self._size(*self.images.picture(index).size)
        return height, width

    def picture(self, index: int) -> DecodedPicture:
        """Decode and resize one image.

        Raises:
            DataError: If it can't be decoded.
        """
        return self.of(self.images.picture(index))

    def of(self, picture: Picture) -> DecodedPicture:
        """Decode and resize an image that was opened; raises as `picture` does."""
        width, height = picture.size
        size = self._size(width, height)
        if size == (width, height):
            return DecodedPicture(picture.pixels())
        reducible = self.reduced and picture.reducible
        factor = reductions([np.array([[0, 0, width, height]])], [self.side])[0] if reducible else 1
        image, box = picture.rgb(factor), (0, 0, width / factor, height / factor)
        small = image.resize(size, Image.Resampling.BILINEAR, box=box)
        return DecodedPicture(torch.from_numpy(np.array(small)).permute(2, 0, 1))

    def _size(self, width: int, height: int) -> tuple[int, int]:
        short = min(width, height)
        if short <= self.side:
            return width, height
        return round(width * self.side / short), round(height * self.side / short)
