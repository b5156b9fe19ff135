"""What tables of images have in common, whether of classes or of boxes: their columns, images and splits."""

import os
import re
from collections.abc import Iterable, Sequence

from pretrain.core.errors import DataError
from transfer.arrange.folder import SPLIT_NAMES, Folder, split_of, words_split
from transfer.arrange.values import TABLES
from transfer.datasets import shown

NAMES = (
    "filename",
    "file",
    "image",
    "imagename",
    "imageid",
    "imageindex",
    "img",
    "path",
    "filepath",
    "imagepath",
    "id",
    "idcode",
    "name",
)
LABELS = (
    "label",
    "labels",
    "class",
    "classname",
    "category",
    "target",
    "breed",
    "species",
    "diagnosis",
    "dx",
    "findinglabels",
    "y",
)
SPLITS = ("split", "set", "subset", "usage")
"""Names of columns: in lower case, without blanks, hyphens and underscores."""
BOXES = {"xmin", "bbox", "x1"}
"""Columns of a table of boxes, which is none of classes."""
PATTERNS = tuple(f"{above}*{ending}" for above in ("", "*/") for ending in TABLES)


def plain(heading: Sequence[str]) -> list[str]:
    """Return the names of columns in lower case, without blanks, hyphens and underscores."""
    return [re.sub(r"[\s_\-]+", "", cell.lower()) for cell in heading]


def column(heading: Sequence[str], names: Iterable[str]) -> int | None:
    """Find the column of the first of these names; None if there is none."""
    return next((heading.index(name) for name in names if name in heading), None)


def image_of(folder: Folder, path: str, name: str) -> str | None:
    """Find the image that a table names: in the folder called as the table, in the table's own folder, or elsewhere."""
    stem, above = os.path.splitext(path)[0], os.path.dirname(path)
    places = (os.path.normpath(f"{near}/{name}" if near else name) for near in (stem, above))
    return next((place for place in places if folder.has(place)), None) or folder.image(name, above or stem)


def split_in(path: str, image: str, said: str = "") -> str | None:
    """Tell an image's split: what its row says, its folder, or the words of its table's name."""
    return SPLIT_NAMES.get(said.strip().lower()) or split_of(image) or words_split(path)


def unlike(row: Sequence[str], heading: Sequence[str], where: str) -> DataError:
    """Return the error of a row that has more or fewer cells than its heading."""
    return DataError(f"{where} has {len(row)} cells", seen=shown(row), allowed=f"{len(heading)}, as the heading")
