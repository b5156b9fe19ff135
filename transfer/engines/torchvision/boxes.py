"""Anchors, box arithmetic, matching and sampling: the parts both stages share."""

import math

import torch
from torch import Tensor

from pretrain.core.upload import upload

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Scales of the (x, y, width, height) offsets in the second stage; in the first they are 1."""
LARGEST_LOG_RATIO = math.log(1000 / 16)
"""A predicted side is at most this much longer than its source, so that the exponential stays finite."""
ASPECT_RATIOS = (0.5, 1.0, 2.0)
"""Height over width of the anchors."""

Weights = tuple[float, float, float, float]


def cell_anchors(sizes: tuple[int, ...]) -> Tensor:
    """Make anchors around the origin, (sizes x ratios, 4), not rounded; `sizes` are square roots of areas in pixels."""
    anchors = []
    for size in sizes:
        for ratio in ASPECT_RATIOS:
            width = math.sqrt(size**2 / ratio)
            height = ratio * width
            anchors.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(anchors)


def grid_anchors(cells: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Repeat a cell's anchors over a map of height x width cells: (height x width x cells, 4), in that order."""
    x = torch.arange(width, dtype=torch.float32, device=cells.device) * stride
    y = torch.arange(height, dtype=torch.float32, device=cells.device) * stride
    y, x = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (shifts + cells).reshape(-1, 4)


def encode(boxes: Tensor, targets: Tensor, weights: Weights) -> Tensor:
    """Compute the offsets (R, 4) that move `boxes` (R, 4) onto `targets` (R, 4)."""
    x, y, width, height = _centres(boxes)
    to_x, to_y, to_width, to_height = _centres(targets)
    scale_x, scale_y, scale_width, scale_height = weights
    offsets = (
        scale_x * (to_x - x) / width,
        scale_y * (to_y - y) / height,
        scale_width * torch.log(to_width / width),
        scale_height * torch.log(to_height / height),
    )
    return torch.stack(offsets, dim=1)


def decode(offsets: Tensor, boxes: Tensor, weights: Weights) -> Tensor:
    """Apply offsets (R, k, 4) to `boxes` (R, 4): boxes (R, k, 4)."""
    x, y, width, height = (side[:, None] for side in _centres(boxes))
    move_x, move_y, log_width, log_height = (offsets[..., i] / weight for i, weight in enumerate(weights))
    new_x, new_y = move_x * width + x, move_y * height + y
    new_width = log_width.clamp(max=LARGEST_LOG_RATIO).exp() * width
    new_height = log_height.clamp(max=LARGEST_LOG_RATIO).exp() * height
    left, top = new_x - 0.5 * new_width, new_y - 0.5 * new_height
    return torch.stack([left, top, new_x + 0.5 * new_width, new_y + 0.5 * new_height], dim=-1)


def _centres(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height, width, height


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut boxes (..., 4) to an image of (height, width) pixels."""
    height, width = size
    left, top, right, bottom = boxes.unbind(dim=-1)
    return torch.stack([left.clamp(0, width), top.clamp(0, height), right.clamp(0, width), bottom.clamp(0, height)], dim=-1)


def has_area(boxes: Tensor) -> Tensor:
    """Select the boxes (R,) with both sides longer than 0."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """Compute the intersection over union of each pair, (M, 4) and (R, 4) → (M, R); 0 where they don't meet."""
    corner = torch.maximum(boxes[:, None, :2], others[:, :2])
    sides = (torch.minimum(boxes[:, None, 2:], others[:, 2:]) - corner).clamp(min=0)
    shared = sides.prod(dim=2)
    union = area(boxes)[:, None] + area(others) - shared
    return torch.where(shared > 0, shared / union, torch.zeros_like(shared))


def area(boxes: Tensor) -> Tensor:
    """Compute the areas (R,) in square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def match(quality: Tensor, low: float, high: float, *, rescue: bool = False) -> tuple[Tensor, Tensor]:
    """Give each region its best object.

    Args:
        quality: (M, R), the overlaps.
        low: Below it a region is background (0); from it to `high` neither (−1); from `high` on an object (1).
        high: See above.
        rescue: Also make the best regions of each object objects, however small their overlap.

    Returns:
        The object's index (R,), and the label (R,); without objects all are background.
    """
    if quality.shape[0] == 0:
        zeros = torch.zeros(quality.shape[1], dtype=torch.int64, device=quality.device)
        return zeros, zeros.clone()
    best, index = quality.max(dim=0)
    label = torch.where(best < low, 0, torch.where(best < high, -1, 1))
    if rescue:
        largest = quality.max(dim=1, keepdim=True).values
        label[(quality == largest).any(dim=0)] = 1
    return index, label


def sample(labels: Tensor, count: int, fraction: float, background: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw up to `count` regions: objects for up to `fraction` of them, the rest background.

    Args:
        labels: (R,), `background`, −1 for neither, anything else an object.
        count: How many.
        fraction: Largest fraction of objects, 0 to 1.
        background: Label of the background.
        generator: On the CPU, wherever the labels are, so that the draw is the same there.

    Returns:
        Indices of the objects and of the background drawn.
    """
    positive = torch.nonzero((labels != -1) & (labels != background)).squeeze(1)
    negative = torch.nonzero(labels == background).squeeze(1)
    positives = min(len(positive), int(count * fraction))
    negatives = min(len(negative), count - positives)
    chosen = torch.randperm(len(positive), generator=generator)[:positives]
    others = torch.randperm(len(negative), generator=generator)[:negatives]
    return positive[upload(chosen, labels.device)], negative[upload(others, labels.device)]
