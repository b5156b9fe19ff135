"""Scenes of patterned, shaded, overlapping objects: the pictures of the generated data.

What the class of an object decides, such as its pattern and its outline, is said by the kind (`transfer.shapes.kinds`). Light,
size, position, background and the other objects are random and independent of the class (domain randomisation, Tobin et al.
2017): a backbone must learn to ignore them.

Legend: S side of the picture in pixels, H = `FINE`·S side of the canvas it is drawn on, O objects.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from transfer.shapes import outlines, surfaces
from transfer.shapes.classes import Floats
from transfer.shapes.kinds import Kind
from transfer.shapes.outlines import Mask, Shape
from transfer.shapes.surfaces import Image

FINE = 2
"""Canvas pixels per picture pixel and side: edges are smooth because the canvas is averaged down."""
LEAST_VISIBLE = 0.5
"""Least visible fraction of an object; one that is hidden or cut off more is not drawn at all."""
LEAST_FOCUS_VISIBLE = 0.8
"""The same for the object in focus, which gives the picture its label in the image-folder layout."""
POSITIONS_TRIED = 8
"""Random positions tried for an object before it is given up."""
CROP_SIDE = 64
"""Side in pixels of the image-folder layout's pictures."""


@dataclass(frozen=True)
class Placed:
    """An object at its position."""

    label: int
    """Index into the kind's classes."""
    shape: Shape
    """Its outline, in canvas pixels."""
    whole: Mask
    """H×H: the canvas pixels that it would cover if nothing were in front of it."""
    visible: float
    """Fraction of the object, in (0, 1], that is inside the picture and behind nothing."""


@dataclass(frozen=True)
class Scene:
    """A picture and its annotation. `instances` holds the visible pixels: every other annotation follows from it."""

    image: Image
    """S×S×3, BGR."""
    instances: Image
    """S×S: 0 for the background, i for object i − 1."""
    labels: tuple[int, ...]
    """O indices into the kind's classes."""
    occluded: tuple[bool, ...]
    """O: whether another object hides part of it."""
    crop: Image
    """`CROP_SIDE`² × 3, BGR: the surroundings of the object in focus."""
    focus: int
    """Index into the kind's classes: label of the crop."""


def draw(rng: np.random.Generator, kind: Kind, *, size: int, focus: int) -> Scene:
    """Draw a scene of 1 to `kind.most_objects` objects, one of which has the class `focus` and is well visible.

    Args:
        rng: Source of all randomness.
        kind: What scenes are made of.
        size: S.
        focus: Index into the kind's classes.
    """
    side = FINE * size
    placed, subject = compose(rng, kind, side=side, focus=focus)
    canvas = surfaces.background(rng, kind, side)
    light = rng.uniform(-1, 1, 2).astype(np.float32)
    for item in reversed(placed):
        _paint(rng, kind, canvas, item, light)
    canvas = surfaces.lit(rng, canvas, kind.cast)
    noise = rng.uniform(*kind.noise)
    instances = _instances([item.whole for item in placed], size)
    return Scene(
        image=surfaces.photograph(rng, cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), noise),
        instances=instances,
        labels=tuple(item.label for item in placed),
        occluded=tuple(_hidden_by_others(placed, index) for index in range(len(placed))),
        crop=surfaces.photograph(rng, _crop(rng, kind, canvas, instances == subject + 1), kind.grain * noise),
        focus=focus,
    )


def compose(rng: np.random.Generator, kind: Kind, *, side: int, focus: int) -> tuple[list[Placed], int]:
    """Place objects from front to back, each visible enough; returns them and the index of the one in focus.

    In this order an object hides none of the earlier ones, so its visibility is known when it is placed.
    """
    while True:
        count = int(rng.integers(1, kind.most_objects + 1))
        subject = int(rng.integers(0, min(count, 2)))
        placed: list[Placed] = []
        taken: Mask = np.zeros((side, side), dtype=bool)
        for index in range(count):
            label = focus if index == subject else int(rng.integers(len(kind.classes)))
            least = LEAST_FOCUS_VISIBLE if index == subject else LEAST_VISIBLE
            item = _place(rng, kind, taken, label=label, least=least)
            if item is not None:
                placed.append(item)
                taken |= item.whole
            elif index <= subject:
                break
        else:
            return placed, subject


def _place(rng: np.random.Generator, kind: Kind, taken: Mask, *, label: int, least: float) -> Placed | None:
    """Place an object behind `taken` with at least the fraction `least` of it visible; None if no position was found."""
    side = len(taken)
    radius = side * rng.uniform(*kind.radius)
    for _ in range(POSITIONS_TRIED):
        centre = rng.uniform(0.5 * radius, side - 0.5 * radius, 2)
        shape = outlines.shape(rng, kind.outline(rng, label), centre=centre, radius=radius)
        whole = shape.mask(side)
        visible = np.count_nonzero(whole & ~taken) / shape.area
        if visible >= least:
            return Placed(label=label, shape=shape, whole=whole, visible=visible)
    return None


def _paint(rng: np.random.Generator, kind: Kind, canvas: Floats, item: Placed, light: Floats) -> None:
    """Paint an object over the canvas: first its shadow, then its shaded surface."""
    _cast_shadow(canvas, item, light)
    rows, columns = item.shape.window(len(canvas))
    inside = item.whole[rows, columns, None]
    surface = surfaces.surface(rng, kind, item.label, item.shape, light, rows, columns)
    canvas[rows, columns] = np.where(inside, surface, canvas[rows, columns])


def _cast_shadow(canvas: Floats, item: Placed, light: Floats) -> None:
    offset = -0.15 * item.shape.radius * light
    shift = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], dtype=np.float32)
    shadow = cv2.warpAffine(item.whole.astype(np.float32), shift, canvas.shape[:2])
    blurred = cv2.blur(shadow, (7, 7))
    canvas *= 1 - 0.4 * blurred[..., None]


def _instances(wholes: list[Mask], size: int) -> Image:
    """Compute the S×S instance map: a pixel belongs to what covers most of its canvas pixels, on a tie to the front."""
    fine = np.zeros(wholes[0].shape, dtype=np.uint8)
    for index in reversed(range(len(wholes))):
        fine[wholes[index]] = index + 1
    counts = np.stack([_count(fine == index) for index in [*range(1, len(wholes) + 1), 0]])
    winner = counts.argmax(axis=0).astype(np.uint8)
    return np.where(winner == len(wholes), 0, winner + 1).astype(np.uint8)


def _count(mask: Mask) -> NDArray[np.int64]:
    """Count the canvas pixels of a mask (H×H) in each pixel of the picture: S×S."""
    return np.sum([mask[row::FINE, column::FINE] for row in range(FINE) for column in range(FINE)], axis=0)


def _hidden_by_others(placed: list[Placed], index: int) -> bool:
    return any((placed[front].whole & placed[index].whole).any() for front in range(index))


def _crop(rng: np.random.Generator, kind: Kind, canvas: Floats, mask: Mask) -> Floats:
    """Cut a square around an object with some of its surroundings, not exactly centred, and resize it to `CROP_SIDE`."""
    x, y, width, height = (FINE * number for number in cv2.boundingRect(mask.astype(np.uint8)))
    side = min(int(max(width, height) * rng.uniform(*kind.crop)), len(canvas))
    wander = rng.uniform(-0.1, 0.1, 2) * side
    left = int(np.clip(x + width / 2 - side / 2 + wander[0], 0, len(canvas) - side))
    top = int(np.clip(y + height / 2 - side / 2 + wander[1], 0, len(canvas) - side))
    window = np.ascontiguousarray(canvas[top : top + side, left : left + side])
    interpolation = cv2.INTER_AREA if side >= CROP_SIDE else cv2.INTER_LINEAR
    return cv2.resize(window, (CROP_SIDE, CROP_SIDE), interpolation=interpolation).astype(np.float32)
