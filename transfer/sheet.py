"""Draw the page that pictures of predictions share: rows of titled panels on white."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

GAP = 8
"""Pixels between panels, and around them."""
TEXT = 13
"""Height of a line's letters, in pixels; legible at the size the page is drawn."""


def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load the font of the page."""
    return ImageFont.load_default(TEXT)


def titled(picture: Image.Image, title: str) -> Image.Image:
    """Put a line of text above a picture."""
    panel = Image.new("RGB", (picture.width, picture.height + TEXT + GAP), "white")
    panel.paste(picture, (0, TEXT + GAP))
    ImageDraw.Draw(panel).text((0, 0), title, fill="black", font=font())
    return panel


def beside(panels: Sequence[Image.Image]) -> Image.Image:
    """Put panels beside each other."""
    row = Image.new("RGB", (sum(each.width + GAP for each in panels) - GAP, max(each.height for each in panels)), "white")
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width + GAP
    return row


def save(path: Path, rows: Sequence[Image.Image]) -> None:
    """Write a page of rows below each other."""
    page = Image.new("RGB", (max(row.width for row in rows) + 2 * GAP, sum(row.height + GAP for row in rows) + GAP), "white")
    top = GAP
    for row in rows:
        page.paste(row, (GAP, top))
        top += row.height + GAP
    page.save(path)
