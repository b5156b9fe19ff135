"""Draw label maps: a few images with truth and prediction side by side, and a legend of the classes.

Letters: H height and W width of an image, C classes, K colours.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from pretrain.images.decode import opened, rgb
from transfer import sheet

LEVELS = (0, 51, 102, 153, 204, 255)
"""Levels of red, green and blue, from which the colours are chosen."""
IGNORED = (0, 0, 0)
PAPER = (255, 255, 255)
PANEL_WIDTH, LINE, COLUMNS = 320, 20, 6
"""Pixels: width of a panel, height of a legend line. Legend entries in a line."""
NUMBERED = 0.01
"""Fraction of the picture from which on a region carries the number of its class."""
VISIONS: tuple[NDArray[np.float64], ...] = (
    np.eye(3),
    np.array([(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)]),
    np.array([(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)]),
    np.array([(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)]),
)
"""Linear RGB → linear RGB as seen with full colour vision, without red, green and blue cones (Machado et al. 2009, doi
10.1109/TVCG.2009.113, severity 1)."""


class Sample(NamedTuple):
    """One evaluated image."""

    image: Path
    truth: NDArray[np.uint8]
    """Label ids (H, W)."""
    prediction: NDArray[np.uint8]
    """Label ids (H, W)."""


def palette(classes: int) -> list[list[int]]:
    """Choose a colour for each of C classes that the colour-blind can tell apart, too: red, green and blue, 0 to 255.

    Each colour is, of all there are to choose from, the one farthest from black, white and the colours before it, as seen by
    who sees the least of the difference.
    """
    return [list(colour) for colour in _palette(classes)]


@cache
def _palette(classes: int) -> tuple[tuple[int, int, int], ...]:
    choices = np.array([(red, green, blue) for red in LEVELS for green in LEVELS for blue in LEVELS])
    seen = [_lab(choices, vision) for vision in VISIONS]
    taken = [choices.tolist().index(list(fixed)) for fixed in (IGNORED, PAPER)]
    nearest = np.min([_apart(seen, index) for index in taken], axis=0)
    for _ in range(classes):
        taken.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _apart(seen, taken[-1]))
    return tuple((int(red), int(green), int(blue)) for red, green, blue in choices[taken[2:]])


def _apart(seen: Sequence[NDArray[np.float64]], index: int) -> NDArray[np.float64]:
    """Compute every colour's distance (K,) from one of them, in CIELAB, as seen by who sees the least."""
    return np.min([np.linalg.norm(lab - lab[index], axis=1) for lab in seen], axis=0)


def _lab(colours: NDArray[np.int64], vision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the CIELAB values of sRGB colours (K, 3) seen with that vision."""
    encoded = colours / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4) @ vision.T
    to_xyz = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
    xyz = linear.clip(0, 1) @ to_xyz.T / to_xyz.sum(axis=1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def coloured(labels: NDArray[np.uint8], classes: int) -> Image.Image:
    """Colour a label map (H, W) by `palette`; ids beyond the classes, such as the ignored one, are black."""
    table = np.full((256, 3), IGNORED, dtype=np.uint8)
    table[:classes] = palette(classes)
    return Image.fromarray(table[labels])


def draw(path: Path, samples: Sequence[Sample], classes: Sequence[str]) -> None:
    """Write a row of image, truth and prediction for each sample, with the names of all classes that occur below."""
    rows = [_row(sample, len(classes)) for sample in samples]
    shown = sorted({int(number) for sample in samples for number in np.unique(np.stack([sample.truth, sample.prediction]))})
    legend = _legend([number for number in shown if number < len(classes)], classes, rows[0].width)
    sheet.save(path, [*rows, legend])


def _row(sample: Sample, classes: int) -> Image.Image:
    with opened(sample.image, str(sample.image)) as file:
        image = rgb(file, str(sample.image))
    size = (PANEL_WIDTH, round(PANEL_WIDTH * image.height / image.width))
    panels = [sheet.titled(image.resize(size, Image.Resampling.BILINEAR), sample.image.stem[:40])]
    for title, labels in (("truth (black: ignored)", sample.truth), ("prediction", sample.prediction)):
        shown = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        picture = coloured(shown, classes)
        _number(picture, shown, classes)
        panels.append(sheet.titled(picture, title))
    return sheet.beside(panels)


def _number(picture: Image.Image, labels: NDArray[np.uint8], classes: int) -> None:
    """Write the class's number into every large region, where it is widest."""
    for label in (number for number in np.unique(labels).tolist() if number < classes):
        regions, count = ndimage.label(np.pad(labels == label, 1))
        for region in range(1, count + 1):
            inside = regions == region
            if inside.sum() < NUMBERED * labels.size:
                continue
            row, column = np.unravel_index(ndimage.distance_transform_edt(inside).argmax(), inside.shape)
            _write(picture, (int(column) - 1, int(row) - 1), label, classes)


def _write(picture: Image.Image, middle: tuple[int, int], label: int, classes: int) -> None:
    """Write a class's number on its own colour, in black or white, whichever stands out."""
    light = _lab(np.array([palette(classes)[label]]), VISIONS[0])[0, 0] > 55
    ImageDraw.Draw(picture).text(middle, str(label), fill="black" if light else "white", font=sheet.font(), anchor="mm")


def _legend(shown: Sequence[int], classes: Sequence[str], width: int) -> Image.Image:
    lines = -(-len(shown) // COLUMNS)
    picture = Image.new("RGB", (width, max(1, lines) * LINE), "white")
    pen, colours = ImageDraw.Draw(picture), palette(len(classes))
    box = LINE + 4
    for position, number in enumerate(shown):
        left, top = position % COLUMNS * (width // COLUMNS), position // COLUMNS * LINE
        pen.rectangle((left, top, left + box, top + LINE - 4), fill=tuple(colours[number]))
        _write(picture, (left + box // 2, top + LINE // 2 - 2), number, len(classes))
        pen.text((left + box + 6, top + LINE // 2 - 2), classes[number], fill="black", font=sheet.font(), anchor="lm")
    return picture
