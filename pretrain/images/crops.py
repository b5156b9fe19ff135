"""Crops: the box that is cut out of an image for a view, and its resizing.

Shapes: N images, S side of a view in pixels.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

TRIES = 10
"""Boxes drawn before the central one is used, as in torchvision."""
SHARE_KEPT = 224 / 256
"""Part of the short side that the evaluation crop keeps."""
NUMBERS = 4
"""Random numbers for each try: area, aspect ratio, left, top."""


@dataclass(frozen=True)
class Crop:
    """A random resized crop (Szegedy et al. 2014), as torchvision's `RandomResizedCrop` draws and cuts it."""

    size: int
    """Side of the result, in pixels."""
    scale: tuple[float, float]
    """Fraction of the image's area, drawn uniformly."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width over height, drawn log-uniformly."""
    resize: Literal["bilinear", "bicubic"] = "bilinear"
    """How the box becomes the result."""

    def boxes(self, sizes: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Choose (N, 4) boxes of whole pixels: the first of `TRIES` drawn ones that fits, or the central one if none does.

        Args:
            sizes: (N, 2) width and height of each image.
            draws: (N, TRIES, NUMBERS), uniform in [0, 1).
        """
        width, height = sizes[:, :1], sizes[:, 1:]
        (least, most), low, high = self.scale, math.log(self.ratio[0]), math.log(self.ratio[1])
        area = width * height * (least + (most - least) * draws[..., 0])
        aspect = np.exp(low + (high - low) * draws[..., 1])
        w, h = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        left, top = np.floor(draws[..., 2] * (width - w + 1)), np.floor(draws[..., 3] * (height - h + 1))
        first = np.arange(len(sizes)), fits.argmax(axis=1)
        drawn = np.stack([side[first] for side in (left, top, left + w, top + h)], axis=1)
        return np.where(fits.any(axis=1)[:, None], drawn, self._central(sizes)).astype(np.int64)

    def _central(self, sizes: np.ndarray) -> np.ndarray:
        """Compute the largest central boxes (N, 4) with an allowed ratio."""
        width, height = sizes[:, 0], sizes[:, 1]
        w = np.minimum(width, np.rint(height * self.ratio[1]))
        h = np.minimum(height, np.rint(width / self.ratio[0]))
        left, top = (width - w) // 2, (height - h) // 2
        return np.stack([left, top, left + w, top + h], axis=1)

    def cut(self, pixels: Tensor, box: Box) -> Tensor:
        """Cut a box out of an image (3, H, W) and resize it to (1, 3, S, S) uint8, antialiased.

        torch's vectorised kernel agrees with Pillow's result to 1/255 in half the time.
        """
        left, top, right, bottom = map(int, box)
        part = pixels[None, :, top:bottom, left:right].contiguous(memory_format=torch.channels_last)
        return F.interpolate(part, size=(self.size, self.size), mode=self.resize, antialias=True)


@dataclass(frozen=True)
class CentreCrop:
    """The evaluation crop: the short side resized to `size / SHARE_KEPT`, then the central square."""

    size: int
    """Side of the result, in pixels."""

    def boxes(self, sizes: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Compute (N, 4) boxes with fractions of pixels, for images of these sizes (N, 2); `draws` is ignored."""
        side = sizes.min(axis=1) * SHARE_KEPT
        left, top = (sizes[:, 0] - side) / 2, (sizes[:, 1] - side) / 2
        return np.stack([left, top, left + side, top + side], axis=1)

    def cut(self, pixels: Tensor, box: Box) -> Tensor:
        """Resize a box of an image (3, H, W) to (1, 3, S, S) uint8, antialiased and bilinear, with the pixels around it."""
        image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return torch.from_numpy(np.array(image).reshape(1, self.size, self.size, 3)).permute(0, 3, 1, 2)
