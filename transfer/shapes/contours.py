"""Exact polygons of masks: they enclose the mask's pixels and no others.

Coordinates are pixel corners: the pixel in column x and row y covers [x, x + 1] × [y, y + 1], as in COCO.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

ZOOM = 3
"""Enlargement of the mask. OpenCV's contours run through pixel centres; at three times the size, the centres on a border
round to the border itself."""


def polygons(mask: Mask) -> list[list[int]]:
    """Trace the parts of a mask as polygons [x0, y0, x1, y1, …] that together enclose exactly its pixels.

    NOTE: COCO's polygons have no holes. A part with a hole is cut in two through the hole.
    """
    fine = mask.astype(np.uint8).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    contours, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [contour for contour, (_, _, _, parent) in zip(contours, _rows(hierarchy), strict=True) if parent >= 0]
    if not holes:
        return [_corners(contour).ravel().tolist() for contour in contours]
    columns = _corners(holes[0])[:, 0]
    cut = int(columns.min() + columns.max() + 1) // 2
    left = np.arange(mask.shape[1]) < cut
    return polygons(mask & left) + polygons(mask & ~left)


def box(mask: Mask) -> tuple[int, int, int, int]:
    """Compute the smallest box (x, y, width, height) around a mask, in pixels."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, width, height


def _rows(hierarchy: NDArray[Any] | None) -> NDArray[Any]:
    return np.zeros((0, 4), dtype=np.int32) if hierarchy is None else hierarchy.reshape(-1, 4)


def _corners(contour: NDArray[Any]) -> NDArray[np.int64]:
    """Round a contour's points to pixel corners (P×2), without repetitions."""
    points = np.round((contour.reshape(-1, 2) + 0.5) / ZOOM).astype(np.int64)
    return points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
