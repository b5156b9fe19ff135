"""The look of the generated data: patterned and shaded surfaces, backgrounds, light, the camera.

Colours are BGR numbers from 0 to 1. Legend: H side of the canvas in pixels, W×W a window of it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from transfer.shapes.classes import PATTERNS, WAVES, Array, Floats, tinted
from transfer.shapes.kinds import Kind
from transfer.shapes.outlines import TILT, Shape, turn

Image = NDArray[np.uint8]

BACKDROP_CONTRAST = 0.06
"""Largest amplitude of a background's pattern; an object's is at least 0.2."""


def surface(rng: np.random.Generator, kind: Kind, label: int, on: Shape, light: Floats, rows: slice, columns: slice) -> Floats:
    """Paint the W×W×3 surface of an object in a window of the canvas, shaded by light from the direction `light` (x, y)."""
    u, v = on.coordinates(rows, columns)
    wave = _wave(rng, kind.pattern(label), u, v, 2 * np.pi * rng.uniform(*kind.frequency))
    first, second = kind.colours(rng, label)
    colour = first + (second - first) * wave[..., None]
    return colour * _shade(rng, on, light, u, v)[..., None]


def background(rng: np.random.Generator, kind: Kind, side: int) -> Floats:
    """Paint an H×H×3 background: a cloudy colour with a faint pattern, one of those that objects have."""
    clouds = rng.uniform(-kind.clouds, kind.clouds, (4, 4, 3)).astype(np.float32)
    cloudy = cv2.resize(clouds, (side, side), interpolation=cv2.INTER_CUBIC)
    canvas = cloudy + tinted(rng, rng.uniform(0.15, 0.85), kind.backdrop_tint)
    # pattern coordinates as on an object whose radius is a quarter of the side, but turned by any angle
    rotation = turn(rng.uniform(0, 2 * np.pi)).astype(np.float32) / (0.25 * side)
    x = np.arange(side, dtype=np.float32)
    y = x[:, None]
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    u, v = rotation[0, 0] * x + rotation[0, 1] * y, rotation[1, 0] * x + rotation[1, 1] * y
    wave = _wave(rng, pattern, u, v, 2 * np.pi * rng.uniform(*kind.frequency))
    canvas += np.float32(rng.uniform(0, 2 * BACKDROP_CONTRAST)) * (wave - np.float32(0.5))[..., None]
    return np.clip(canvas, 0.02, 1)


def lit(rng: np.random.Generator, canvas: Floats, cast: float) -> Floats:
    """Light the canvas (H×H×3) with random strength, colour (`cast`: see `Kind`) and falloff, and sometimes blur it."""
    slope = rng.uniform(-0.4, 0.4, 2).astype(np.float32)
    across = np.linspace(-1, 1, len(canvas), dtype=np.float32)
    falloff = 1 + slope[0] * across + slope[1] * across[:, None]
    gain = np.exp(rng.uniform(-0.6, 0.1) + rng.uniform(-cast, cast, 3)).astype(np.float32)
    seen = canvas * (falloff[..., None] * gain)
    return cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 1.5)).astype(np.float32) if rng.random() < 0.5 else seen


def photograph(rng: np.random.Generator, seen: Array, noise: float) -> Image:
    """Expose a picture (H×W×3) with noise of standard deviation `noise` in every channel, and round it to 8 bits."""
    exposed = seen + np.float32(noise) * rng.standard_normal(seen.shape, dtype=np.float32)
    return (np.clip(exposed, 0, 1) * 255 + 0.5).astype(np.uint8)


def _wave(rng: np.random.Generator, pattern: str, u: Array, v: Array, frequency: float) -> Floats:
    """Evaluate a pattern (W×W, in [0, 1]), turned and shifted at random, with edges a fraction of a period wide."""
    rotation = frequency * turn(rng.uniform(-TILT, TILT)).astype(np.float32)
    # rings keep their centre on the object: far from it they would be stripes
    shift = rng.uniform(-np.pi, np.pi, 2).astype(np.float32)
    along = rotation[0, 0] * u + rotation[0, 1] * v + shift[0]
    across = rotation[1, 0] * u + rotation[1, 1] * v + shift[1]
    return np.clip(0.5 + 1.5 * WAVES[pattern](along, across), 0, 1).astype(np.float32)


def _shade(rng: np.random.Generator, on: Shape, light: Floats, u: Array, v: Array) -> Floats:
    """Compute the W×W brightness, around 1: higher towards the light, lower towards the rim, as on a dome."""
    towards = light @ on.frame.astype(np.float32) / np.float32(on.radius)
    slope, dome = np.float32(rng.uniform(0.1, 0.4)), np.float32(rng.uniform(0, 0.4))
    return np.clip(1 + slope * (towards[0] * u + towards[1] * v) - dome * (u * u + v * v), 0.1, None).astype(np.float32)
