"""Boxes with their own edges in each image of a batch."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.core.upload import upload


def box_mask(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, height: int, width: int, device: torch.device) -> Tensor:
    """Make an (N, 1, height, width) mask, true inside each image's box.

    Args:
        top: (N,) first row, in pixels.
        left: (N,) first column.
        bottom: (N,) row after the last.
        right: (N,) column after the last.
        height: Rows of the images.
        width: Columns of the images.
        device: Where the mask is to be; the boxes are on the CPU.
    """
    top, left, bottom, right = upload(torch.stack([top, left, bottom, right]), device)
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    inside_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < right[:, None])
    return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]


def centred(
    side: Tensor, vertical: Tensor, horizontal: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Place a box anywhere in each image, clipped at the border: its top, left, bottom and right, each (N,), as `box_mask` has.

    Args:
        side: (N,) its sides as fractions of the image's.
        vertical: (N,) where its centre is, of 0 to 1.
        horizontal: (N,) the same in the columns.
        height: Rows of the images.
        width: Columns of the images.
    """
    h, w = (side * height).floor(), (side * width).floor()
    top = ((vertical * height).floor() - (h / 2).floor()).clamp(min=0)
    left = ((horizontal * width).floor() - (w / 2).floor()).clamp(min=0)
    bottom = ((vertical * height).floor() - (h / 2).floor() + h).clamp(max=height)
    right = ((horizontal * width).floor() - (w / 2).floor() + w).clamp(max=width)
    return top, left, bottom, right


def nearest(first: Tensor, length: Tensor, whole: int, device: torch.device) -> Tensor:
    """Find which pixel (N, whole) of a row each pixel shows where the whole row is reduced to `length` pixels from `first` on.

    Args:
        first: (N,) first pixel of the reduced row.
        length: (N,) its pixels.
        whole: Pixels of the row.
        device: Where the result is to be; the others are on the CPU.
    """
    first, length = upload(torch.stack([first, length]), device)
    at = torch.arange(whole, device=device) - first[:, None]
    return (at * whole / length[:, None]).floor().clamp(0, whole - 1)


def linear(first: Tensor, length: Tensor, source: Tensor, source_length: Tensor, whole: int, device: torch.device) -> Tensor:
    """Find which place (N, whole) of a row each pixel shows where one stretch of it is drawn over another, ends upon ends.

    Args:
        first: (N,) first pixel of the stretch that is drawn over.
        length: (N,) its pixels.
        source: (N,) first pixel of the stretch that is shown.
        source_length: (N,) its pixels.
        whole: Pixels of the row.
        device: Where the result is to be; the others are on the CPU.
    """
    first, length, source, source_length = upload(torch.stack([first, length, source, source_length]), device)
    at = torch.arange(whole, device=device) - first[:, None]
    step = (source_length - 1) / (length - 1).clamp(min=1)
    return source[:, None] + (at * step[:, None]).clamp(min=0).minimum((source_length - 1).clamp(min=0)[:, None])


def seen_through(images: Tensor, rows: Tensor, columns: Tensor, mode: Literal["nearest", "bilinear"]) -> Tensor:
    """Draw images (N, C, H, W) anew: pixel (i, j) of the result is what the image has at (rows[i], columns[j]).

    Args:
        images: (N, C, H, W).
        rows: (N, H) places in the rows, in pixels, from 0 to H − 1.
        columns: (N, W) places in the columns.
        mode: What is between pixels.
    """
    height, width = images.shape[2:]
    y = 2 * rows / max(height - 1, 1) - 1
    x = 2 * columns / max(width - 1, 1) - 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)
