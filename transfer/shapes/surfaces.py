"""What the objects of the generated data look like: outlines, patterns, colours, light.

Colours are BGR numbers from 0 to 1. Object coordinates (u, v) have their origin in the object's centre, and every outline
reaches out to radius 1. Legend: H side of the canvas in pixels, W×W a window of it, P corners of an outline.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SUBPIXEL_BITS = 4
"""OpenCV takes corners of polygons in units of 2^−4 pixels."""
FREQUENCY = (1.2, 2.0)
"""Periods of a pattern per unit of object coordinates: 2.4 to 4 across an object."""
TILT = float(np.deg2rad(20))
"""Objects stand upright within this angle, and so do patterns on their objects: up and down mean something, as in photos."""
LEAST_CONTRAST = 0.4
"""Between the grey values of a pattern's two colours: a pattern must outlive the loss of colour."""
BACKDROP_CONTRAST = 0.06
"""Largest amplitude of a background's pattern; an object's is at least 0.2."""


def _spikes(points: int, inner: float, start: float = 0.25) -> Floats:
    """2·`points`×2 corners, alternately at radius 1 and `inner`, the first `start` turns from the right towards the top."""
    angles = np.arange(2 * points) * np.pi / points - 2 * np.pi * start
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype(np.float32)


def _cross(arm: float) -> Floats:
    """12×2 corners of a plus sign with arms 2·`arm` wide."""
    reach = float(np.sqrt(1 - arm**2))
    side = np.array([[reach, -arm], [reach, arm], [arm, arm]])
    quarter_turn = np.array([[0, 1], [-1, 0]])
    return np.concatenate([side @ np.linalg.matrix_power(quarter_turn, k) for k in range(4)]).astype(np.float32)


CORNERS: dict[str, Floats] = {
    "disc": _spikes(24, 1.0),
    "triangle": _spikes(3, 0.5),
    "square": _spikes(4, float(np.sqrt(0.5)), start=0.125),
    "cross": _cross(0.3),
}
"""Outline → P×2 corners in object coordinates. Every second corner of a triangle or a square is the middle of a side."""
OUTLINES = tuple(CORNERS)


def _striped(u: Array, v: Array) -> Array:
    return np.sin(v) + 0 * u


def _barred(u: Array, v: Array) -> Array:
    return np.sin(u) + 0 * v


def _checked(u: Array, v: Array) -> Array:
    return 1.5 * np.sin(u) * np.sin(v)


def _dotted(u: Array, v: Array) -> Array:
    return np.cos(u) + np.cos(v) - 0.9


def _ringed(u: Array, v: Array) -> Array:
    return np.sin(np.hypot(u, v))


WAVES: dict[str, Callable[[Array, Array], Array]] = {
    "striped": _striped,
    "barred": _barred,
    "checked": _checked,
    "dotted": _dotted,
    "ringed": _ringed,
}
"""Pattern → its value at pattern coordinates, in which one period is 2π. Above 0 is one colour, below the other."""
PATTERNS = tuple(WAVES)


@dataclass(frozen=True)
class Shape:
    """An outline put somewhere on the canvas."""

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
        """In canvas pixels, inside and outside the canvas."""
        x, y = self.corners.T
        return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)

    def mask(self, side: int) -> Mask:
        """H×H: which canvas pixels it covers."""
        canvas = np.zeros((side, side), dtype=np.uint8)
        grid = np.round((self.corners - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(canvas, [grid], 1, lineType=cv2.LINE_8, shift=SUBPIXEL_BITS)
        return canvas.astype(bool)

    def window(self, side: int) -> tuple[slice, slice]:
        """Rows and columns of the canvas that hold all of its mask."""
        low = np.clip(np.floor(self.corners.min(axis=0)).astype(int) - 1, 0, side)
        high = np.clip(np.ceil(self.corners.max(axis=0)).astype(int) + 1, 0, side)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def coordinates(self, rows: slice, columns: slice) -> tuple[Array, Array]:
        """Object coordinates (u, v) of the pixels of a window, W×W each."""
        x = np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - np.float32(self.centre[0])
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5 - np.float32(self.centre[1])
        inverse = np.linalg.inv(self.frame).astype(np.float32)
        return inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y


def shape(rng: np.random.Generator, outline: str, *, centre: Array, radius: float) -> Shape:
    """An outline tilted and squeezed a little, as if seen at a slant."""
    squeeze = np.diag(rng.uniform(0.8, 1.0, 2))
    frame = radius * _turn(rng.uniform(-TILT, TILT)) @ squeeze
    return Shape(centre=centre, radius=radius, frame=frame, corners=CORNERS[outline] @ frame.T + centre)


def surface(rng: np.random.Generator, pattern: str, on: Shape, light: Floats, rows: slice, columns: slice) -> Floats:
    """W×W×3: the patterned surface of an object in a window of the canvas, shaded by light from `light` (x, y)."""
    u, v = on.coordinates(rows, columns)
    wave = _wave(rng, pattern, u, v, 2 * np.pi * rng.uniform(*FREQUENCY))
    first, second = _colours(rng)
    colour = first + (second - first) * wave[..., None]
    return colour * _shade(rng, on, light, u, v)[..., None]


def background(rng: np.random.Generator, side: int) -> Floats:
    """H×H×3: a cloudy colour with a faint pattern of the families that objects have too."""
    clouds = rng.uniform(-0.12, 0.12, (4, 4, 3)).astype(np.float32)
    canvas = cv2.resize(clouds, (side, side), interpolation=cv2.INTER_CUBIC) + _colour(rng, rng.uniform(0.15, 0.85))
    # pattern coordinates as on an object whose radius is a quarter of the side, but turned by any angle
    turn = _turn(rng.uniform(0, 2 * np.pi)).astype(np.float32) / (0.25 * side)
    x = np.arange(side, dtype=np.float32)
    y = x[:, None]
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    u, v = turn[0, 0] * x + turn[0, 1] * y, turn[1, 0] * x + turn[1, 1] * y
    wave = _wave(rng, pattern, u, v, 2 * np.pi * rng.uniform(*FREQUENCY))
    canvas += np.float32(rng.uniform(0, 2 * BACKDROP_CONTRAST)) * (wave - np.float32(0.5))[..., None]
    return np.clip(canvas, 0.02, 1)


def lit(rng: np.random.Generator, canvas: Floats) -> Floats:
    """H×H×3: the canvas under a light of random strength, colour and falloff, sometimes out of focus."""
    slope = rng.uniform(-0.4, 0.4, 2).astype(np.float32)
    across = np.linspace(-1, 1, len(canvas), dtype=np.float32)
    falloff = 1 + slope[0] * across + slope[1] * across[:, None]
    gain = np.exp(rng.uniform(-0.6, 0.1) + rng.uniform(-0.2, 0.2, 3)).astype(np.float32)
    seen = canvas * (falloff[..., None] * gain)
    return cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 1.5)).astype(np.float32) if rng.random() < 0.5 else seen


def photograph(rng: np.random.Generator, seen: Array, noise: float) -> Image:
    """H×W×3: what a camera makes of it, with noise of the standard deviation `noise` in every channel."""
    exposed = seen + np.float32(noise) * rng.standard_normal(seen.shape, dtype=np.float32)
    return (np.clip(exposed, 0, 1) * 255 + 0.5).astype(np.uint8)


def _wave(rng: np.random.Generator, pattern: str, u: Array, v: Array, frequency: float) -> Floats:
    """W×W in [0, 1]: the pattern, turned and shifted at random, with edges a fraction of a period wide."""
    turn = frequency * _turn(rng.uniform(-TILT, TILT)).astype(np.float32)
    # rings keep their centre on the object: far from it they would be stripes
    shift = rng.uniform(-np.pi, np.pi, 2).astype(np.float32)
    along = turn[0, 0] * u + turn[0, 1] * v + shift[0]
    across = turn[1, 0] * u + turn[1, 1] * v + shift[1]
    return np.clip(0.5 + 1.5 * WAVES[pattern](along, across), 0, 1).astype(np.float32)


def _shade(rng: np.random.Generator, on: Shape, light: Floats, u: Array, v: Array) -> Floats:
    """W×W, around 1: brighter towards the light, darker towards the rim, as on something round."""
    towards = light @ on.frame.astype(np.float32) / np.float32(on.radius)
    slope, dome = np.float32(rng.uniform(0.1, 0.4)), np.float32(rng.uniform(0, 0.4))
    return np.clip(1 + slope * (towards[0] * u + towards[1] * v) - dome * (u * u + v * v), 0.1, None).astype(np.float32)


def _colours(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two colours whose grey values differ by at least `LEAST_CONTRAST`; either may be the brighter one."""
    low = rng.uniform(0.05, 0.95 - LEAST_CONTRAST)
    high = rng.uniform(low + LEAST_CONTRAST, 0.95)
    first, second = _colour(rng, low), _colour(rng, high)
    return (first, second) if rng.random() < 0.5 else (second, first)


def _colour(rng: np.random.Generator, grey: float) -> Floats:
    """A colour of a given grey value: a random tint that adds nothing to it."""
    tint = rng.uniform(-0.35, 0.35, 3)
    # ITU-R BT.601 weights, as in every conversion to grey here, in BGR order
    tint -= tint @ np.array([0.114, 0.587, 0.299])
    return np.clip(grey + tint, 0, 1).astype(np.float32)


def _turn(angle: float) -> Array:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
