"""Draw a grid of small pictures with a heading for each column and a line below each picture, as a PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pretrain.core.errors import ConfigError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""First bytes of every PNG (ISO/IEC 15948)."""
SIDE = 160
"""Smallest side of a picture in the grid, in pixels; a smaller one is enlarged by a whole factor, each pixel to a square."""
LINE = 20
"""Height of a line of text, in pixels."""
GAP = 8
"""Pixels between pictures."""
_FONT_SIZE = 13
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


@dataclass(frozen=True)
class Cell:
    """A picture and the line below it."""

    pixels: np.ndarray
    """(S, S, 3) uint8, RGB."""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """Pictures under a heading."""

    heading: str
    cells: Sequence[Cell]


def draw(title: str, columns: Sequence[Column]) -> Image.Image:
    """Draw a grid of pictures of one size, in columns of one length."""
    size = len(columns[0].cells[0].pixels)
    factor = -(-SIDE // size)
    rows = len(columns[0].cells)
    width = len(columns) * (size * factor + GAP) + GAP
    height = 2 * LINE + rows * (size * factor + LINE + GAP) + GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    pen.text((GAP, GAP // 2), title, _INK, font)
    for across, column in enumerate(columns):
        left, _ = place(size, across, 0)
        pen.text((left, LINE + GAP // 2), column.heading, _INK, font)
        for down, cell in enumerate(column.cells):
            left, top = place(size, across, down)
            enlarged = cell.pixels.repeat(factor, axis=0).repeat(factor, axis=1)
            sheet.paste(Image.fromarray(enlarged), (left, top))
            pen.text((left, top + size * factor), _cut(cell.note, size * factor, font), _INK, font)
    return sheet


def place(size: int, across: int, down: int) -> tuple[int, int]:
    """Left and top pixel of a picture of side `size`, in column `across` and row `down`."""
    side = size * -(-SIDE // size)
    return GAP + across * (side + GAP), 2 * LINE + GAP + down * (side + LINE + GAP)


def check(out: Path) -> None:
    """Check that a file can be written and is no other file than an older picture.

    Raises:
        ConfigError: If it isn't called .png, its folder is missing, or it is there and is no PNG.
    """
    if out.suffix.lower() != ".png":
        raise ConfigError("the picture is a PNG", seen=out, allowed="a file name ending in .png")
    if not out.parent.is_dir():
        raise ConfigError(f"no folder {out.parent} to write into", seen=out, fix="make it, or name another with --out")
    if out.is_dir():
        raise ConfigError(f"{out} is a folder", allowed="a file name ending in .png")
    if out.exists():
        with out.open("rb") as file:
            start = file.read(len(SIGNATURE))
        if start != SIGNATURE:
            raise ConfigError(f"{out} is there and is no PNG", seen=start, fix="remove it, or name another file with --out")


def _cut(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Cut a text to a width in pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
