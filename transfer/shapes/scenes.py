"""Draws scenes of textured, shaded, overlapping objects: the pictures of the generated data `shapes`.

The class of an object is its surface pattern and its outline, and nothing else. Colour, light, size, place, background
and what else is in the picture are drawn at random and say nothing about the class (domain randomisation, Tobin et al.
2017): they are what a backbone must learn to ignore.

Legend: S side of the picture in pixels, H = `FINE`·S side of the canvas it is drawn on, O objects.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from transfer.shapes import surfaces

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLASSES = tuple(f"{pattern}-{outline}" for pattern in surfaces.PATTERNS for outline in surfaces.OUTLINES)
FINE = 2
"""Canvas pixels per picture pixel and side: edges are smooth because the canvas is averaged down."""
MOST_OBJECTS = 5
LEAST_VISIBLE = 0.5
"""An object of which less can be seen, behind others or beyond the border, is not drawn at all."""
LEAST_FOCUS_VISIBLE = 0.8
"""The same for the object that gives the picture its label in the image-folder layout."""
PLACES_TRIED = 8
RADIUS = (0.16, 0.34)
"""Of an object, as a fraction of the picture's side: COCO's medium and large sizes at 96 pixels."""
MOST_NOISE = 0.03
"""Standard deviation of a camera's noise, of a range of 1."""
CROP_SIDE = 64
"""Side in pixels of the image-folder layout's pictures."""


@dataclass(frozen=True)
class Placed:
    """An object and where it is."""

    label: int
    """Index into `CLASSES`."""
    shape: surfaces.Shape
    """Its outline, in canvas pixels."""
    whole: Mask
    """H×H: the canvas pixels it would cover if nothing were in front of it."""
    visible: float
    """Fraction of the object, in (0, 1], that is inside the picture and behind nothing."""


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it. `instances` holds what is visible: every other annotation follows from it."""

    image: Image
    """S×S×3, BGR."""
    instances: Image
    """S×S: 0 for the background, i for object i − 1."""
    labels: tuple[int, ...]
    """O indices into `CLASSES`."""
    occluded: tuple[bool, ...]
    """O: whether another object hides part of it."""
    crop: Image
    """`CROP_SIDE`² × 3, BGR: the surroundings of the object in focus."""
    focus: int
    """Index into `CLASSES`: label of the crop."""


def draw(rng: np.random.Generator, *, size: int, focus: int) -> Scene:
    """A scene of 1 to `MOST_OBJECTS` objects, one of which has the class `focus` and is well visible."""
    side = FINE * size
    placed, subject = compose(rng, side=side, focus=focus)
    canvas = surfaces.background(rng, side)
    light = rng.uniform(-1, 1, 2).astype(np.float32)
    for item in reversed(placed):
        _paint(rng, canvas, item, light)
    canvas = surfaces.lit(rng, canvas)
    noise = rng.uniform(0, MOST_NOISE)
    instances = _instances([item.whole for item in placed], size)
    return Scene(
        image=surfaces.photograph(rng, cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), noise),
        instances=instances,
        labels=tuple(item.label for item in placed),
        occluded=tuple(_hidden_by_others(placed, index) for index in range(len(placed))),
        crop=surfaces.photograph(rng, _crop(rng, canvas, instances == subject + 1), noise),
        focus=focus,
    )


def compose(rng: np.random.Generator, *, side: int, focus: int) -> tuple[list[Placed], int]:
    """Objects from front to back, each visible enough, and which of them is the one in focus.

    Placed from the front, an object hides nothing that is already there: visibility is known when it is placed.
    """
    while True:
        count = int(rng.integers(1, MOST_OBJECTS + 1))
        subject = int(rng.integers(0, min(count, 2)))
        placed: list[Placed] = []
        taken: Mask = np.zeros((side, side), dtype=bool)
        for index in range(count):
            label = focus if index == subject else int(rng.integers(len(CLASSES)))
            least = LEAST_FOCUS_VISIBLE if index == subject else LEAST_VISIBLE
            item = _place(rng, taken, label=label, least=least)
            if item is not None:
                placed.append(item)
                taken |= item.whole
            elif index <= subject:
                break
        else:
            return placed, subject


def _place(rng: np.random.Generator, taken: Mask, *, label: int, least: float) -> Placed | None:
    """An object somewhere behind `taken` with at least the fraction `least` of it visible, or None if none was found."""
    side = len(taken)
    outline = surfaces.OUTLINES[label % len(surfaces.OUTLINES)]
    radius = side * rng.uniform(*RADIUS)
    for _ in range(PLACES_TRIED):
        centre = rng.uniform(0.5 * radius, side - 0.5 * radius, 2)
        shape = surfaces.shape(rng, outline, centre=centre, radius=radius)
        whole = shape.mask(side)
        visible = np.count_nonzero(whole & ~taken) / shape.area
        if visible >= least:
            return Placed(label=label, shape=shape, whole=whole, visible=visible)
    return None


def _paint(rng: np.random.Generator, canvas: Floats, item: Placed, light: Floats) -> None:
    """Lay an object over the canvas: first its shadow, then its shaded surface."""
    pattern = surfaces.PATTERNS[item.label // len(surfaces.OUTLINES)]
    _cast_shadow(canvas, item, light)
    rows, columns = item.shape.window(len(canvas))
    inside = item.whole[rows, columns, None]
    surface = surfaces.surface(rng, pattern, item.shape, light, rows, columns)
    canvas[rows, columns] = np.where(inside, surface, canvas[rows, columns])


def _cast_shadow(canvas: Floats, item: Placed, light: Floats) -> None:
    offset = -0.15 * item.shape.radius * light
    shift = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], dtype=np.float32)
    shadow = cv2.warpAffine(item.whole.astype(np.float32), shift, canvas.shape[:2])
    blurred = cv2.blur(shadow, (7, 7))
    canvas *= 1 - 0.4 * blurred[..., None]


def _instances(wholes: list[Mask], size: int) -> Image:
    """S×S instance map: each pixel belongs to whatever covers most of its canvas pixels, the front one on a tie."""
    fine = np.zeros(wholes[0].shape, dtype=np.uint8)
    for index in reversed(range(len(wholes))):
        fine[wholes[index]] = index + 1
    shares = np.stack([_share(fine == index) for index in [*range(1, len(wholes) + 1), 0]])
    winner = shares.argmax(axis=0).astype(np.uint8)
    return np.where(winner == len(wholes), 0, winner + 1).astype(np.uint8)


def _share(mask: Mask) -> NDArray[np.int64]:
    return np.sum([mask[row::FINE, column::FINE] for row in range(FINE) for column in range(FINE)], axis=0)


def _hidden_by_others(placed: list[Placed], index: int) -> bool:
    return any((placed[front].whole & placed[index].whole).any() for front in range(index))


def _crop(rng: np.random.Generator, canvas: Floats, mask: Mask) -> Floats:
    """A square around an object with some of its surroundings, not exactly centred, resized to `CROP_SIDE`."""
    x, y, width, height = (FINE * number for number in cv2.boundingRect(mask.astype(np.uint8)))
    side = min(int(max(width, height) * rng.uniform(1.0, 1.3)), len(canvas))
    wander = rng.uniform(-0.1, 0.1, 2) * side
    left = int(np.clip(x + width / 2 - side / 2 + wander[0], 0, len(canvas) - side))
    top = int(np.clip(y + height / 2 - side / 2 + wander[1], 0, len(canvas) - side))
    window = np.ascontiguousarray(canvas[top : top + side, left : left + side])
    interpolation = cv2.INTER_AREA if side >= CROP_SIDE else cv2.INTER_LINEAR
    return cv2.resize(window, (CROP_SIDE, CROP_SIDE), interpolation=interpolation).astype(np.float32)
