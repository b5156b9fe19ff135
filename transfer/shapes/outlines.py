"""Outlines of objects on the canvas: their pixels, and the object coordinates of each pixel.

Legend: H side of the canvas in pixels, W×W a window of it, P corners of an outline.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from transfer.shapes.classes import CORNERS, Array

Mask = NDArray[np.bool_]

SUBPIXEL_BITS = 4
"""OpenCV takes corners of polygons in units of 2^−4 pixels."""
TILT = float(np.deg2rad(20))
"""Largest angle between an object and upright, and between a pattern and its object, so that up and down mean something, as
in photographs."""


@dataclass(frozen=True)
class Shape:
    """An outline somewhere on the canvas."""

    centre: Array
    """(x, y) in canvas pixels."""
    radius: float
    """Half its largest extent before the squeeze, in canvas pixels."""
    frame: Array
    """2×2: object coordinates to canvas pixels, relative to the centre."""
    corners: Array
    """P×2: (x, y) in canvas pixels."""

    @property
    def area(self) -> float:
        """Area in canvas pixels, including the part outside the canvas."""
        x, y = self.corners.T
        return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)

    def mask(self, side: int) -> Mask:
        """Compute the H×H mask of the canvas pixels that it covers."""
        canvas = np.zeros((side, side), dtype=np.uint8)
        grid = np.round((self.corners - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(canvas, [grid], 1, lineType=cv2.LINE_8, shift=SUBPIXEL_BITS)
        return canvas.astype(bool)

    def window(self, side: int) -> tuple[slice, slice]:
        """Return rows and columns of the canvas that contain its whole mask."""
        low = np.clip(np.floor(self.corners.min(axis=0)).astype(int) - 1, 0, side)
        high = np.clip(np.ceil(self.corners.max(axis=0)).astype(int) + 1, 0, side)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def coordinates(self, rows: slice, columns: slice) -> tuple[Array, Array]:
        """Compute the object coordinates (u, v) of a window's pixels, W×W each."""
        x = np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - np.float32(self.centre[0])
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5 - np.float32(self.centre[1])
        inverse = np.linalg.inv(self.frame).astype(np.float32)
        return inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y


def shape(rng: np.random.Generator, outline: str, *, centre: Array, radius: float) -> Shape:
    """Tilt and squeeze an outline a little, as if seen at a slant."""
    squeeze = np.diag(rng.uniform(0.8, 1.0, 2))
    frame = radius * turn(rng.uniform(-TILT, TILT)) @ squeeze
    return Shape(centre=centre, radius=radius, frame=frame, corners=CORNERS[outline] @ frame.T + centre)


def turn(angle: float) -> Array:
    """Return the 2×2 rotation by an angle in radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
