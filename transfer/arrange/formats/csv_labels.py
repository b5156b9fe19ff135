"""Images in folders without meaning, and a CSV table with the name and the class of each."""

import os
from collections.abc import Sequence
from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.folder import SPLIT_NAMES, Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import rows_of
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped

NAMES = ("filename", "file_name", "file", "image", "image_name", "image_id", "imageid", "img", "path", "filepath", "id", "name")
LABELS = ("label", "labels", "class", "class_name", "category", "target", "breed", "species", "y")
SPLITS = ("split", "set", "subset", "usage")
BOXES = {"xmin", "x_min", "bbox", "x1"}
"""Columns of a table of boxes, which is none of classes."""
PATTERNS = ("*.csv", "*/*.csv")


def recognise(glance: Glance) -> bool:
    """Tell whether a table has a column of names and one of classes."""
    return any(_is_table(glance.head(pattern).partition("\n")[0]) for pattern in PATTERNS)


def read(root: Path, given: Named | None) -> Export:
    """Read the class of each image that a table names; a column `split`, the table's name or a folder says the split.

    Raises:
        DataError: If a table can't be read, or gives an image two classes.
    """
    folder, dropped, items = Folder(root), Dropped(), dict[str, Item]()
    for path in folder.ending(".csv"):
        rows = rows_of(folder.path(path))
        if not rows or not _is_table(",".join(rows[0])):
            dropped.add("tables of another kind", path)
            continue
        for number, row in enumerate(rows[1:], start=2):
            item = _item(folder, path, rows[0], row, f"row {number} of {folder.path(path)}", dropped)
            if item is not None and items.setdefault(item.image, item).label != item.label:
                raise DataError(
                    f"row {number} of {folder.path(path)} gives {item.image} a second class",
                    seen=item.label,
                    allowed=items[item.image].label,
                    fix="one class for each image",
                )
    for image in sorted(set(folder.images) - items.keys()):
        dropped.add("images without a class", image)
    classes = sorted({str(item.label) for item in items.values()})
    return Export("classes", tuple(items.values()), tuple(classes), dropped)


def _item(folder: Folder, path: str, heading: Sequence[str], row: Sequence[str], where: str, dropped: Dropped) -> Item | None:
    if len(row) != len(heading):
        raise DataError(f"{where} has {len(row)} cells", seen=shown(row), allowed=f"{len(heading)}, as the heading")
    cells = {name.strip().lower(): cell.strip() for name, cell in zip(heading, row, strict=True)}
    name, label = _cell(cells, NAMES), _cell(cells, LABELS)
    if not name or not label:
        raise DataError(f"{where} lacks its {'class' if name else 'image'}", seen=shown(row))
    image = folder.image(name, os.path.splitext(path)[0])
    if image is None:
        dropped.add("images that aren't there", where)
        return None
    stem = path.rpartition("/")[2][: -len(".csv")].lower().replace("-", "_").split("_")
    listed = next((SPLIT_NAMES[part] for part in stem if part in SPLIT_NAMES), None)
    split = SPLIT_NAMES.get((_cell(cells, SPLITS) or "").lower()) or split_of(image) or listed
    return Item(image, None, split, label=label)


def _cell(cells: dict[str, str], names: Sequence[str]) -> str | None:
    return next((cells[name] for name in names if name in cells), None)


def _is_table(head: str) -> bool:
    columns = {
        column.strip().strip('"').lower() for column in head.lstrip("\ufeff").replace(";", ",").replace("\t", ",").split(",")
    }
    return not columns & BOXES and bool(columns & set(NAMES)) and bool(columns & set(LABELS))
