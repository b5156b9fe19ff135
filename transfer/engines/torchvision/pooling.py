"""Cut regions of interest out of one map or of a pyramid (`modeling/poolers.py`)."""

import torch
from torch import Tensor
from torchvision.ops import roi_align

from pretrain.core.upload import upload
from transfer.engines.torchvision import boxes as box_ops

CANONICAL_SIDE, CANONICAL_STRIDE = 224, 16
"""Side in pixels of ImageNet's crops; a region of that side is cut from the map of that stride (arXiv 1612.03144, eq. 1)."""
EPSILON = 1e-8
"""Added to a side, so that the logarithm of an empty box is finite."""


def pool(maps: list[Tensor], strides: tuple[int, ...], boxes: list[Tensor], side: int) -> Tensor:
    """Cut regions out, (R, C, side, side), in the order of the boxes.

    Args:
        maps: (N, C, H, W) each.
        strides: Pixels per cell of each map, each twice the one before.
        boxes: Per image (R, 4), in pixels.
        side: Cells.
    """
    counts = torch.tensor([len(each) for each in boxes])
    every = torch.cat(boxes)
    images = upload(torch.repeat_interleave(torch.arange(len(boxes)), counts).to(every.dtype), every.device)
    regions = torch.cat([images[:, None], every], dim=1)
    if len(maps) == 1:
        return _cut(maps[0], strides[0], regions, side)
    level = levels(every, strides)
    pooled = maps[0].new_zeros((len(regions), maps[0].shape[1], side, side))
    for index, (features, stride) in enumerate(zip(maps, strides, strict=True)):
        chosen = torch.nonzero(level == index).squeeze(1)
        pooled = pooled.index_put((chosen,), _cut(features, stride, regions[chosen], side))
    return pooled


def levels(boxes: Tensor, strides: tuple[int, ...]) -> Tensor:
    """Choose the map each box (R, 4) is cut from, the coarser the larger the box: indices (R,) into `strides`."""
    sides = box_ops.area(boxes).sqrt()
    canonical, first, last = (stride.bit_length() - 1 for stride in (CANONICAL_STRIDE, strides[0], strides[-1]))
    level = torch.floor(canonical + torch.log2(sides / CANONICAL_SIDE + EPSILON))
    return level.clamp(min=first, max=last).to(torch.int64) - first


def _cut(features: Tensor, stride: int, regions: Tensor, side: int) -> Tensor:
    cut: Tensor = roi_align(features, regions, side, spatial_scale=1 / stride, sampling_ratio=0, aligned=True)
    return cut
