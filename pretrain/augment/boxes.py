"""Boxes with their own edges in each image of a batch."""

import torch
from torch import Tensor


def box_mask(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, height: int, width: int) -> Tensor:
    """Make an (N, 1, height, width) mask, true inside each image's box.

    Args:
        top: (N,) first row, in pixels.
        left: (N,) first column.
        bottom: (N,) row after the last.
        right: (N,) column after the last.
        height: Rows of the images.
        width: Columns of the images.
    """
    rows = torch.arange(height, device=top.device)
    columns = torch.arange(width, device=top.device)
    inside_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < right[:, None])
    return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
