"""COCO's segmentations, checked before pycocotools draws them: its C code trusts its input.

A run-length encoding counts pixels column by column, background first. Compressed, each count is written in groups of 5
bits, the lowest first, as the difference to the count two before it, from the third difference on (`maskApi.c`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.datasets import shown
from transfer.datasets.objects import FARTHEST, LONGEST_SIDE, Mask

LEAST_COORDINATES = 6
"""Coordinates of three points: fewer span no area."""
LONGEST_OUTLINE = 2**20
"""Pixels of an outline at most: pycocotools stores five points for each."""
GROUP_BITS, CONTINUED, NEGATIVE, LOWEST = 5, 32, 16, 48
"""Encoding of a compressed run: bits per character, the bit that another follows, the sign bit, the character of 0."""
MOST_GROUPS = 7
"""Groups of a count below 2³² at most."""


def usable(segmentation: Any) -> Mask | None:
    """Check a segmentation: its polygons of three or more points, or its compressed run-length encoding; None if neither.

    Polygons with an odd number of coordinates or fewer than three points are left out, as in Detectron2.

    Raises:
        ValueError: If it isn't a segmentation; says what is wrong.
    """
    if segmentation is None or segmentation == {}:
        return None
    if isinstance(segmentation, dict):
        return _runs(segmentation)
    if not isinstance(segmentation, list):
        raise ValueError(f"{shown(segmentation)} is neither a list of polygons nor a run-length encoding")
    polygons = [_polygon(each) for each in segmentation]
    return tuple(each for each in polygons if each is not None) or None


def extent(mask: Mask) -> list[float]:
    """Return x, y, width and height of the box around a mask, in pixels."""
    if isinstance(mask, dict):
        return [float(side) for side in coco_mask.toBbox(mask)]
    points = np.concatenate([polygon.reshape(-1, 2) for polygon in mask])
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return [left, top, right - left, bottom - top]


def _polygon(coordinates: Any) -> NDArray[np.float64] | None:
    """Check one polygon: x0, y0, x1, y1, …; None if it has fewer than three points."""
    if not isinstance(coordinates, list):
        raise ValueError(f"{shown(coordinates)} is not a list of coordinates")
    numbers = np.array(coordinates)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise ValueError(f"{shown(coordinates)} is not a list of numbers")
    if len(numbers) % 2 or len(numbers) < LEAST_COORDINATES:
        return None
    polygon = numbers.astype(np.float64, copy=False)
    reach = np.abs(polygon).max()
    # A bound on the length that spares most polygons the exact computation. NaN compares as false.
    if not reach * len(polygon) <= LONGEST_OUTLINE:
        if not reach <= FARTHEST:
            raise ValueError(f"a polygon has the coordinate {polygon[~(np.abs(polygon) <= FARTHEST)][0]:g}")
        points = polygon.reshape(-1, 2)
        if np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum() > LONGEST_OUTLINE:
            raise ValueError(f"a polygon has an outline of more than {LONGEST_OUTLINE} pixels")
    return polygon


def _runs(encoding: Mapping[str, Any]) -> dict[str, Any]:
    size, counts = encoding.get("size"), encoding.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and 0 < side <= LONGEST_SIDE for side in size):
        raise ValueError(f"a run-length encoding has the size {shown(size)}")
    runs = _compressed(counts) if isinstance(counts, str) else np.array(counts if isinstance(counts, list) else [])
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any():
        raise ValueError(f"a run-length encoding has the counts {shown(counts)}")
    # Counts are below 2³², so their sum can't overflow 64 bits; a single larger count is wrong by itself.
    if runs.max() > size[0] * size[1] or int(runs.sum()) != size[0] * size[1]:
        raise ValueError(f"a run-length encoding doesn't cover its {size[0]} × {size[1]} pixels")
    if isinstance(counts, str):
        return {"size": size, "counts": counts}
    return dict(coco_mask.frPyObjects({"size": size, "counts": counts}, *size))


def _compressed(text: str) -> NDArray[np.int64]:
    """Decode the counts of a compressed encoding; [-1] if it is invalid."""
    groups = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - LOWEST
    wrong = np.array([-1])
    if not len(groups) or groups.min() < 0 or groups.max() >= 2 * CONTINUED or groups[-1] & CONTINUED:
        return wrong
    last = np.flatnonzero(~groups & CONTINUED)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > MOST_GROUPS:
        return wrong
    shift = GROUP_BITS * (np.arange(len(groups)) - np.repeat(first, lengths))
    values = np.add.reduceat((groups & (CONTINUED - 1)) << shift, first)
    values -= np.where(groups[last] & NEGATIVE, 1 << GROUP_BITS * lengths, 0)
    # Undo the differences to the count two before; the first three counts are plain.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
