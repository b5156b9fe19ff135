"""Masks between an image and a box: cropped to a small square for training, pasted back for the metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from transfer.datasets.objects import Mask

SMALLEST_SIDE = 0.1
"""Pixels of the shortest side that a box is scaled by; a thinner box is scaled as if it were this wide."""
THRESHOLD = 0.5
"""Probability from which a pixel belongs to the object."""

SeenMask = tuple[NDArray[np.float64], ...] | NDArray[np.uint8]
"""A mask in pixels of the image that the detector sees: polygons, or (height, width) of 0 and 1."""


def decode(encoding: Mask) -> NDArray[np.uint8]:
    """Decode a run-length encoding to (height, width) of 0 and 1."""
    return np.asarray(coco_mask.decode(encoding), dtype=np.uint8)


def in_image(mask: Mask, height: int, width: int) -> NDArray[np.uint8]:
    """Draw a mask as (height, width) of 0 and 1."""
    if isinstance(mask, dict):
        return decode(mask)
    return decode(coco_mask.merge(coco_mask.frPyObjects(list(mask), height, width)))


def crop(masks: Sequence[SeenMask], boxes: Tensor, side: int) -> Tensor:
    """Cut each mask to its box (R, 4): (R, side, side) of 0 and 1 in float32, on the boxes' device."""
    cells = [_crop_one(mask, box, side) for mask, box in zip(masks, boxes.cpu(), strict=True)]
    if not cells:
        return boxes.new_zeros((0, side, side))
    return torch.stack(cells).to(boxes.device)


def _crop_one(mask: SeenMask, box: Tensor, side: int) -> Tensor:
    if isinstance(mask, tuple):
        return torch.from_numpy(_rasterise(mask, box.numpy(), side))
    # As for Detectron2's `BitMasks`: an average over each cell, then a threshold.
    pixels = torch.from_numpy(mask).to(torch.float32)[None, None]
    averages: Tensor = roi_align(pixels, [box[None]], side, sampling_ratio=0, aligned=True)[0, 0]
    return (averages >= THRESHOLD).to(torch.float32)


def _rasterise(polygons: tuple[NDArray[np.float64], ...], box: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Move and scale polygons with their box onto a square, then fill them as COCO fills polygons."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = np.array([side / max(width, SMALLEST_SIDE), side / max(height, SMALLEST_SIDE)])
    moved = [((polygon.reshape(-1, 2) - box[:2]) * scale).ravel() for polygon in polygons]
    filled = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(moved, side, side)))
    return np.asarray(filled, dtype=np.float32)


def paste(mask: Tensor, box: Tensor, height: int, width: int) -> NDArray[np.uint8]:
    """Paste a mask (side, side) of probabilities inside its box (4,) into (height, width) of 0 and 1.

    Each pixel's centre samples the mask bilinearly, outside it is 0 (`layers/mask_ops.py`).
    """
    left, top = (max(int(value), 0) for value in (box[:2].floor() - 1).tolist())
    right, bottom = int(min(float(box[2].ceil()) + 1, width)), int(min(float(box[3].ceil()) + 1, height))
    y = (torch.arange(top, bottom, dtype=torch.float32) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
    x = (torch.arange(left, right, dtype=torch.float32) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
    grid = torch.stack([x[None, :].expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
    sampled = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
    image = np.zeros((height, width), dtype=np.uint8, order="F")  # as it is encoded
    image[top:bottom, left:right] = (sampled >= THRESHOLD).numpy()
    return image


def encode(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Encode (height, width) of 0 and 1 by run lengths, as text that fits into JSON."""
    encoding: dict[str, Any] = coco_mask.encode(np.asfortranarray(pixels))
    return encoding | {"counts": encoding["counts"].decode("ascii")}
