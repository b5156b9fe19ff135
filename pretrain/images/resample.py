"""Boxes of many images of different sizes, resized at once on any device: a product with a matrix along each side.

Shapes: N images, S side of a result in pixels, L the longest side of a box.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pretrain.core.upload import upload

Filter = Literal["bilinear", "bicubic"]


def cropped(images: Sequence[Tensor], boxes: np.ndarray, size: int, filter_: Filter) -> Tensor:
    """Cut a box out of each image (3, H, W) uint8 and resize it to (N, 3, S, S) uint8, antialiased.

    As `pretrain.images.crops.Crop.cut` does, in fp32, and rounded once: that one's kernel has fixed-point weights and rounds
    after each side, by which the two differ.

    Args:
        images: N of them, on one device.
        boxes: (N, 4) left, top, right, bottom, in whole pixels.
        size: S.
        filter_: How.
    """
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    padded = images[0].new_zeros((len(images), 3, int(heights.max()), int(widths.max())))
    for place, image, (left, top, right, bottom) in zip(padded, images, boxes.tolist(), strict=True):
        place[:, : bottom - top, : right - left] = image[:, top:bottom, left:right]
    columns, rows = (_weights(lengths, size, filter_, padded.device)[:, None] for lengths in (widths, heights))
    narrow = (padded.float() @ columns.transpose(2, 3)).clamp_(0, 255)  # a cubic filter overshoots, which images can't
    return (rows @ narrow).round_().clamp_(0, 255).byte()


def _weights(lengths: np.ndarray, size: int, filter_: Filter, device: torch.device) -> Tensor:
    """Compute the matrices (N, S, L) that resize `lengths` (N,) pixels to S: row i holds the weights of the pixels that make
    pixel i, which are those of a filter that is as much wider as the image becomes smaller.
    """
    length = upload(torch.from_numpy(lengths.astype(np.float32)), device)[:, None, None]
    scale = length / size
    centre = (torch.arange(size, device=device)[:, None] + 0.5) * scale
    pixel = torch.arange(int(lengths.max()), device=device)
    apart = (pixel + 0.5 - centre).div_(scale.clamp(min=1)).abs_()
    weights = (_triangle(apart) if filter_ == "bilinear" else _cubic(apart)).mul_(pixel < length)
    return weights / weights.sum(dim=2, keepdim=True)


def _triangle(apart: Tensor) -> Tensor:
    return (1 - apart).clamp_(min=0)


def _cubic(apart: Tensor) -> Tensor:
    """Keys' cubic with a = −1/2, as Pillow and torch have it where they antialias."""
    near = (1.5 * apart - 2.5) * apart * apart + 1
    far = ((-0.5 * apart + 2.5) * apart - 4) * apart + 2
    return near * (apart < 1) + far * ((apart >= 1) & (apart < 2))
