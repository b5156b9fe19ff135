"""COCO's segmentations, checked before anything fills them in: pycocotools' C code trusts its input.

A run-length encoding counts pixels column by column, background first. Compressed, each count is written in groups of 5
bits, the lowest first, as the difference to the count two before it, from the third difference on (`maskApi.c`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.datasets import shown
from transfer.datasets.detection import FARTHEST, LONGEST_SIDE, Mask

MIN_COORDINATES = 6
"""Three points: fewer span no area."""
LONGEST_OUTLINE = 2**20
"""Pixels: pycocotools keeps five points in memory for each pixel of an outline."""
GROUP_BITS, GO_ON, NEGATIVE, LOWEST = 5, 32, 16, 48
"""Of a compressed run: bits in a character, the bit that says there is another, the sign's bit, the character of 0."""
MOST_GROUPS = 7
"""Of a count below 2³²."""


def usable(segmentation: Any) -> Mask | None:
    """Its polygons of three or more points, or its compressed run-length encoding; None where nothing of it can be used.

    Polygons with an odd number of coordinates or fewer than three points are left out, as in Detectron2.

    Raises:
        ValueError: If it is no segmentation; says what is wrong.
    """
    if isinstance(segmentation, dict):
        return _runs(segmentation)
    if segmentation is None:
        return None
    if not isinstance(segmentation, list):
        raise ValueError(f"{shown(segmentation)} is neither a list of polygons nor a run-length encoding")
    polygons = [_polygon(each) for each in segmentation]
    return tuple(each for each in polygons if each is not None) or None


def _polygon(coordinates: Any) -> NDArray[np.float64] | None:
    """x0, y0, x1, y1, …; None if they are no three points."""
    if not isinstance(coordinates, list):
        raise ValueError(f"{shown(coordinates)} is not a list of coordinates")
    numbers = np.array(coordinates)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise ValueError(f"{shown(coordinates)} is not a list of numbers")
    if len(numbers) % 2 or len(numbers) < MIN_COORDINATES:
        return None
    polygon = numbers.astype(np.float64, copy=False)
    reach = np.abs(polygon).max()
    # No outline of so many points that are so near is too long: most need no closer look. NaN compares as false.
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
    # The sum of so many counts below 2³² can't overflow 64 bits; a larger count alone is too much.
    if runs.max() > size[0] * size[1] or int(runs.sum()) != size[0] * size[1]:
        raise ValueError(f"a run-length encoding doesn't cover its {size[0]} × {size[1]} pixels")
    if isinstance(counts, str):
        return {"size": size, "counts": counts}
    return dict(coco_mask.frPyObjects({"size": size, "counts": counts}, *size))


def _compressed(text: str) -> NDArray[np.int64]:
    """The counts of a compressed encoding; [-1] if it is none."""
    groups = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - LOWEST
    wrong = np.array([-1])
    if not len(groups) or groups.min() < 0 or groups.max() >= 2 * GO_ON or groups[-1] & GO_ON:
        return wrong
    last = np.flatnonzero(~groups & GO_ON)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > MOST_GROUPS:
        return wrong
    shift = GROUP_BITS * (np.arange(len(groups)) - np.repeat(first, lengths))
    values = np.add.reduceat((groups & (GO_ON - 1)) << shift, first)
    values -= np.where(groups[last] & NEGATIVE, 1 << GROUP_BITS * lengths, 0)
    # Differences to the count two before, but for the first three.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
