"""Patterns, outlines and colours of the generated data, and the classes of `shapes`: every surface pattern with every outline.

Object coordinates (u, v) have their origin in the object's centre, and every outline reaches out to radius 1.

Shapes: P corners of an outline.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float32]


def _spikes(points: int, inner: float, start: float = 0.25) -> Floats:
    """Compute 2·`points`×2 corners, alternately at radius 1 and `inner`, the first `start` turns from the right to the top."""
    angles = np.arange(2 * points) * np.pi / points - 2 * np.pi * start
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype(np.float32)


def _cross(arm: float) -> Floats:
    """Compute the 12×2 corners of a plus sign with arms 2·`arm` wide."""
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

CLASSES = tuple(f"{pattern}-{outline}" for pattern in PATTERNS for outline in OUTLINES)
"""Names of the classes, in the order of their labels."""


def pattern_of(label: int) -> str:
    """Return the surface pattern of a class."""
    return PATTERNS[label // len(OUTLINES)]


def outline_of(label: int) -> str:
    """Return the outline of a class."""
    return OUTLINES[label % len(OUTLINES)]


LEAST_CONTRAST = 0.4
"""Least difference between the grey values of a pattern's two colours: a pattern must survive the loss of colour."""


def contrasting(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw two colours whose grey values differ by at least `LEAST_CONTRAST`; either may be the brighter one."""
    low = rng.uniform(0.05, 0.95 - LEAST_CONTRAST)
    high = rng.uniform(low + LEAST_CONTRAST, 0.95)
    first, second = tinted(rng, low), tinted(rng, high)
    return (first, second) if rng.random() < 0.5 else (second, first)


def tinted(rng: np.random.Generator, grey: float, most: float = 0.35) -> Floats:
    """Draw a colour with a given grey value, whose channels were up to `most` from each other before."""
    tint = rng.uniform(-most, most, 3)
    # ITU-R BT.601 weights, as in every conversion to grey here, in BGR order
    tint -= tint @ np.array([0.114, 0.587, 0.299])
    return np.clip(grey + tint, 0, 1).astype(np.float32)
