"""Images with a table of their classes: CSV, TSV or JSON lines, with one column of classes or one for each class."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import DataError
from pretrain.images.stores import SUFFIXES
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.tables import BOXES, LABELS, NAMES, PATTERNS, SPLITS, column, image_of, plain, split_in, unlike
from transfer.arrange.values import SEVERAL, TABLES, rows_in, rows_of
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped

YES, NO = ("1", "1.0"), ("0", "0.0")


class Columns(NamedTuple):
    """Where a table has what, by the columns' numbers."""

    name: int
    label: int | None
    """The classes' names; None: each class has a column of zeros and ones."""
    classes: tuple[int, ...]
    split: int | None
    first: int = 1
    """Row of the first image: 0 in a table without a heading."""


def recognise(glance: Glance) -> bool:
    """Tell whether a table has a column of names and one of classes, or one for each class."""
    for path, head in glance.heads(*PATTERNS):
        try:
            if _columns(rows_in(head, path)) is not None:
                return True
        except DataError:
            continue
    return False


def read(root: Path, given: Named | None) -> Export:
    """Read the class of each image that a table names; a column `split`, the table's name or a folder says the split.

    Raises:
        DataError: If a table can't be read, or an image has two classes or splits.
    """
    folder, dropped, items = Folder(root), Dropped(), dict[str, Item]()
    for path in (path for ending in TABLES for path in folder.ending(ending)):
        rows = rows_of(folder.path(path))
        columns = _columns(rows)
        if columns is None:
            dropped.add("tables of another kind", path)
            continue
        for number, row in enumerate(rows[columns.first :], start=columns.first + 1):
            item = _item(folder, path, columns, rows[0], row, f"row {number} of {folder.path(path)}", dropped)
            if item is not None:
                where = f"row {number} of {folder.path(path)}"
                items[item.image] = _once(items.get(item.image, item), item, where)
    for image in sorted(set(folder.images) - items.keys()):
        dropped.add("images without a class", image)
    classes = sorted({str(item.label) for item in items.values()})
    return Export("classes", tuple(items.values()), tuple(classes), dropped)


def _once(first: Item, again: Item, where: str) -> Item:
    """Return what two rows say of one image: the same class, and the split that either says."""
    if first.label != again.label:
        wrong, seen, allowed = "class", again.label, first.label
    elif first.split and again.split and first.split != again.split:
        wrong, seen, allowed = "split", again.split, first.split
    else:
        return first if first.split else again
    raise DataError(
        f"{where} gives {first.image} a second {wrong}",
        seen=seen,
        allowed=f"{allowed}, as before",
        fix=f"one {wrong} for each image",
    )


def _columns(rows: Sequence[Sequence[str]]) -> Columns | None:
    """Find the columns of a table, by its heading and its first row; None if it is none of classes."""
    if not rows:
        return None
    heading = plain(rows[0])
    name, label, split = (column(heading, names) for names in (NAMES, LABELS, SPLITS))
    if name is None or set(heading) & BOXES:
        return _without_heading(rows[0])
    classes = tuple(at for at, cell in enumerate(heading) if at not in (name, split) and cell)
    one_each = len(classes) > 1 and len(rows) > 1 and len(rows[1]) == len(heading)
    if label is None and not (one_each and all(rows[1][at].strip() in YES + NO for at in classes)):
        return None
    return Columns(name, label, classes, split)


def _without_heading(row: Sequence[str]) -> Columns | None:
    """Find the columns of a table that begins with an image and its class, in either order; None if it doesn't."""
    images = [os.path.splitext(cell.strip())[1].lower() in SUFFIXES for cell in row]
    if len(row) != 2 or sum(images) != 1:
        return None
    return Columns(images.index(True), images.index(False), (), None, first=0)


def _item(
    folder: Folder, path: str, columns: Columns, heading: Sequence[str], row: Sequence[str], where: str, dropped: Dropped
) -> Item | None:
    if len(row) != len(heading):
        raise unlike(row, heading, where)
    name, label = row[columns.name].strip(), _label(columns, heading, row, where)
    if not name or label == "":
        raise DataError(f"{where} lacks its {'class' if name else 'image'}", seen=shown(row))
    image = image_of(folder, path, name)
    if image is None:
        dropped.add("images that aren't there", where)
    elif label is None or SEVERAL in label:
        dropped.add("images of several classes, or of none", where)
    else:
        said = "" if columns.split is None else row[columns.split]
        return Item(image, None, split_in(path, image, said), label=label)
    return None


def _label(columns: Columns, heading: Sequence[str], row: Sequence[str], where: str) -> str | None:
    """Return the class of a row; None where its columns of classes don't say one."""
    if columns.label is not None:
        return row[columns.label].strip()
    marks = [row[at].strip() for at in columns.classes]
    wrong = next((mark for mark in marks if mark not in YES + NO), None)
    if wrong is not None:
        raise DataError(
            f"{where} has a class that is neither there nor not", seen=shown(wrong), allowed="0 or 1 for each class"
        )
    found = [heading[at].strip() for at, mark in zip(columns.classes, marks, strict=True) if mark in YES]
    return found[0] if len(found) == 1 else None
