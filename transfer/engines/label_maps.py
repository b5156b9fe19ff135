"""Label maps as pictures: a few images with truth and prediction side by side, and a legend of the classes.

Letters: H height and W width of an image, C classes.
"""

import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pretrain.decode import opened, rgb

GOLDEN_RATIO = 0.618034
"""Hues this far apart on the circle never come close to each other, however many there are."""
TONES = ((0.85, 0.95), (0.55, 0.75), (0.95, 0.60))
"""Saturation and value, in turn, so that neighbours on the hue circle differ in another way too."""
IGNORED = (0, 0, 0)
PANEL_WIDTH, GAP, LINE = 320, 8, 16
"""Pixels: width of a panel, space between panels, height of a legend line."""


class Sample(NamedTuple):
    """One evaluated image."""

    image: Path
    truth: NDArray[np.uint8]
    """Label ids, (H, W)."""
    prediction: NDArray[np.uint8]
    """Label ids, (H, W)."""


def palette(classes: int) -> list[list[int]]:
    """A distinct colour for each of C classes: C lists of red, green and blue, 0 to 255."""
    colours = []
    for index in range(classes):
        saturation, value = TONES[index % len(TONES)]
        colours.append([round(255 * part) for part in colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1.0, saturation, value)])
    return colours


def coloured(labels: NDArray[np.uint8], classes: int) -> Image.Image:
    """A label map (H, W) in the colours of `palette`; ids beyond the classes, such as the ignored one, are black."""
    table = np.full((256, 3), IGNORED, dtype=np.uint8)
    table[:classes] = palette(classes)
    return Image.fromarray(table[labels])


def draw(path: Path, samples: Sequence[Sample], classes: Sequence[str]) -> None:
    """Write a row of image, truth and prediction for each sample, with the names of all classes that occur below."""
    rows = [_row(sample, len(classes)) for sample in samples]
    shown = sorted({int(number) for sample in samples for number in np.unique(np.stack([sample.truth, sample.prediction]))})
    legend = _legend([number for number in shown if number < len(classes)], classes, rows[0].width)
    parts = [_heading(rows[0].width), *rows, legend]
    sheet = Image.new("RGB", (rows[0].width, sum(part.height + GAP for part in parts)), "white")
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height + GAP
    sheet.save(path)


def _row(sample: Sample, classes: int) -> Image.Image:
    with opened(sample.image, str(sample.image)) as file:
        image = rgb(file, str(sample.image))
    size = (PANEL_WIDTH, round(PANEL_WIDTH * image.height / image.width))
    row = Image.new("RGB", (3 * PANEL_WIDTH + 2 * GAP, size[1]), "white")
    row.paste(image.resize(size, Image.Resampling.BILINEAR), (0, 0))
    for column, labels in enumerate((sample.truth, sample.prediction), start=1):
        row.paste(coloured(labels, classes).resize(size, Image.Resampling.NEAREST), (column * (PANEL_WIDTH + GAP), 0))
    return row


def _heading(width: int) -> Image.Image:
    picture = Image.new("RGB", (width, LINE), "white")
    for column, text in enumerate(("image", "truth (black: ignored)", "prediction")):
        ImageDraw.Draw(picture).text((column * (PANEL_WIDTH + GAP), 0), text, fill="black")
    return picture


def _legend(shown: Sequence[int], classes: Sequence[str], width: int) -> Image.Image:
    columns = 6
    lines = -(-len(shown) // columns)
    picture = Image.new("RGB", (width, max(1, lines) * LINE), "white")
    pen, colours = ImageDraw.Draw(picture), palette(len(classes))
    for place, number in enumerate(shown):
        left, top = place % columns * (width // columns), place // columns * LINE
        pen.rectangle((left, top, left + LINE - 4, top + LINE - 4), fill=tuple(colours[number]))
        pen.text((left + LINE, top), classes[number], fill="black")
    return picture
