"""Draw a detector's predictions: some validation images, the truth on the left, the predictions on the right."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torchvision.ops import nms

from transfer import sheet
from transfer.datasets.objects import DetectionData, Mask, Picture, read_image
from transfer.detection import masks as mask_ops
from transfer.detection.found import Found
from transfer.sheet import GAP, TEXT

ROWS = 4
SIDE = 420
"""Long side of each image drawn, in pixels; its text is drawn at a size that stays legible."""
MASK_OPACITY = 0.4
LEAST_DRAWN = 8
"""Of an image's predictions the best are drawn, as many as there are true objects, and at least this many."""
DRAWN_OVERLAP = 0.5
"""A prediction that overlaps a better one by more isn't drawn, whatever its class: texts on one another can't be read."""
COLOURS = (
    (230, 25, 75),
    (60, 180, 75),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (0, 128, 128),
    (170, 110, 40),
    (128, 0, 0),
)
"""Colours that differ on light and dark images; class k has colour k modulo their number."""


class _Shape(NamedTuple):
    """One thing to draw, in pixels of the image file."""

    box: tuple[float, float, float, float]
    label: int
    text: str
    mask: Mask | None


def write_predictions(path: Path, data: DetectionData, found: Sequence[Found]) -> None:
    """Write the picture, for evenly spaced validation images."""
    chosen = [index * len(data.val) // ROWS for index in range(ROWS)] if len(data.val) > ROWS else list(range(len(data.val)))
    rows = [_row(data.val[index], found[index], data.classes) for index in chosen]
    if rows:
        sheet.save(path, rows)


def _row(picture: Picture, found: Found, classes: tuple[str, ...]) -> Image.Image:
    truth = _drawn(picture, _true_shapes(picture, classes), "truth")
    predicted = _drawn(picture, _found_shapes(found, classes, len(picture.boxes)), "prediction")
    return sheet.beside([truth, predicted])


def _true_shapes(picture: Picture, classes: tuple[str, ...]) -> Iterable[_Shape]:
    for index, (box, label) in enumerate(zip(picture.boxes.tolist(), picture.labels.tolist(), strict=True)):
        mask = picture.masks[index] if picture.masks is not None else None
        yield _Shape(tuple(box), label, classes[label], mask)


def _found_shapes(found: Found, classes: tuple[str, ...], true_objects: int) -> Iterable[_Shape]:
    kept = nms(torch.from_numpy(found.boxes), torch.from_numpy(found.scores), DRAWN_OVERLAP)
    kept = kept[: max(LEAST_DRAWN, true_objects)]
    for index in kept.tolist():
        mask = found.masks[index] if found.masks is not None else None
        label = int(found.labels[index])
        text = f"{classes[label]} {100 * found.scores[index]:.0f}%"
        yield _Shape(tuple(found.boxes[index].tolist()), label, text, mask)


def _drawn(picture: Picture, shapes: Iterable[_Shape], title: str) -> Image.Image:
    scale = SIDE / max(picture.width, picture.height)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    font, shapes = sheet.font(), list(shapes)
    image = _with_masks(read_image(picture), picture, shapes).resize(size, Image.Resampling.BILINEAR)
    panel = sheet.titled(image, f"{title}: {picture.identity}")
    draw = ImageDraw.Draw(panel)
    for shape in shapes:
        colour = COLOURS[shape.label % len(COLOURS)]
        left, top, right, bottom = (corner * scale for corner in shape.box)
        top, bottom = top + TEXT + GAP, bottom + TEXT + GAP
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        place = (max(min(left + 2, size[0] - draw.textlength(shape.text, font=font)), 0), min(top + 2, panel.height - TEXT - 2))
        draw.rectangle(draw.textbbox(place, shape.text, font=font), fill=colour)
        draw.text(place, shape.text, fill="white", font=font)
    return panel


def _with_masks(image: Image.Image, picture: Picture, shapes: Sequence[_Shape]) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    for shape in shapes:
        if shape.mask is not None:
            inside = mask_ops.in_image(shape.mask, picture.height, picture.width)
            pixels = _tinted(pixels, inside, COLOURS[shape.label % len(COLOURS)])
    return Image.fromarray(pixels.round().astype(np.uint8))


def _tinted(pixels: NDArray[np.float64], inside: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.float64]:
    weight = MASK_OPACITY * inside[..., None]
    tinted: NDArray[np.float64] = pixels * (1 - weight) + np.array(colour) * weight
    return tinted
