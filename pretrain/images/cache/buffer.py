"""Decoded images in one buffer that all loader workers share."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pretrain.images.cache.shrink import DecodedPicture, ShrunkImages

SHAPE_BYTES = 8
"""Bytes of an image's height and width, two int32. In a file they precede all pixels."""


class Buffer:
    """Decoded images one after another, in a shared tensor or a memory-mapped file; no process copies them."""

    def __init__(self, shapes: np.ndarray, store: Tensor | Path, images: ShrunkImages) -> None:
        """Lay out N images, whose pixels may follow later by `put`.

        Args:
            shapes: (N, 2) int32, height and width of each; 0 or negative for an image that can't be decoded.
            store: The pixels of all images, as a shared uint8 tensor or as a file.
            images: The images themselves.
        """
        self.shapes, self.store, self.images = shapes, store, images
        self._starts = np.concatenate([[0], np.cumsum(shapes.astype(np.int64).prod(axis=1) * 3)])
        self._pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.shapes)

    def picture(self, index: int) -> DecodedPicture:
        """Look one image up.

        Raises:
            DataError: If it couldn't be decoded when the buffer was filled, and still can't.
        """
        if self.shapes[index, 0] <= 0:
            return self.images.picture(index)
        return DecodedPicture(self._part(index).permute(2, 0, 1))

    def put(self, index: int, decoded: Tensor) -> None:
        """Store an image (3, H, W)."""
        self._part(index).copy_(decoded.permute(1, 2, 0))

    def mark_undecodable(self, index: int) -> None:
        """Note that an image can't be decoded."""
        self.shapes[index] = -abs(self.shapes[index])

    def _part(self, index: int) -> Tensor:
        """Return the view (H, W, 3) of an image's pixels."""
        if self._pixels is None:
            self._pixels = self.store if isinstance(self.store, Tensor) else self._mapped(self.store)
        return self._pixels[self._starts[index] : self._starts[index + 1]].view(*abs(self.shapes[index]), 3)

    def _mapped(self, path: Path) -> Tensor:
        size = path.stat().st_size
        return torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8)[SHAPE_BYTES * len(self) :]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pixels": None}  # a process that doesn't inherit the mapping makes its own


def pixel_bytes(shapes: np.ndarray) -> int:
    """Count the bytes of all images of these shapes (N, 2)."""
    return int(shapes.astype(np.int64).prod(axis=1).sum()) * 3
