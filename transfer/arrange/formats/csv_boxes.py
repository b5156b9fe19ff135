"""Boxes in a table, one a row: TensorFlow's and Roboflow's CSV, RetinaNet's without a heading, Open Images', Kaggle's `bbox`.

Four columns are a box's corners, its upper left corner and size, or its centre and size, as their names say; the one column
`bbox` has an upper left corner and a size. Numbers of at most 1 throughout a table are shares of the image.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import ConfigError, DataError
from pretrain.images.stores import is_image
from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.tables import BOXES, LABELS, NAMES, PATTERNS, SPLITS, column, image_of, plain, split_in, unlike
from transfer.arrange.values import TABLES, number, rows_in, rows_of, size_of
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size
from transfer.datasets.readings import Kind, Reading

SYSTEMS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("corners", ("xmin", "ymin", "xmax", "ymax")),
    ("corners", ("x1", "y1", "x2", "y2")),
    ("corners", ("x0", "y0", "x1", "y1")),
    ("corners", ("left", "top", "right", "bottom")),
    ("size", ("x", "y", "w", "h")),
    ("size", ("x", "y", "width", "height")),
    ("size", ("xmin", "ymin", "width", "height")),
    ("size", ("left", "top", "width", "height")),
    ("size", ("bboxx", "bboxy", "bboxwidth", "bboxheight")),
    ("centre", ("xcenter", "ycenter", "width", "height")),
    ("centre", ("cx", "cy", "w", "h")),
    ("size", ("bbox",)),
)
"""What columns may say of a box; of two that share their first column the earlier counts."""
FOUR_POINTS = {"x3", "x4"}
"""Columns of outlines, not of boxes."""
SIZES = (("imagewidth", "imageheight"), ("imgwidth", "imgheight"), ("width", "height"))
"""Columns of the image's size, where the box has none of these names."""
BOX_LABELS = (*LABELS, "labelname", "classid", "categoryid", "labelid")
CROWD = ("isgroupof", "iscrowd")
HEADLESS = (
    ("filename", "x1", "y1", "x2", "y2", "label"),
    ("label", "x", "y", "w", "h", "filename", "imagewidth", "imageheight"),
)
"""Headings that RetinaNet's and makesense.ai's tables lack."""
EMPTY = ("", "nan", "none")
YES, NO = ("1", "1.0", "true"), ("0", "0.0", "false", "", "-1")
ONE_CLASS = "object"


class Table(NamedTuple):
    """A table of boxes: its columns, by name and by number."""

    heading: tuple[str, ...]
    first: int
    """Rows before the first box: 1 with a heading."""
    name: int
    label: int | None
    kind: Kind
    box: tuple[int, ...]


class Row(NamedTuple):
    """A row of a table, checked."""

    image: str
    where: str
    cells: Mapping[str, str]
    """Name of a column → what it has, without the box's own."""
    label: str | None
    values: tuple[float, ...]
    """The box's four numbers as written; empty: the image has no object."""


def recognise(glance: Glance) -> bool:
    """Tell whether a table has columns of images and of boxes, also where they don't say which."""
    for path, head in glance.heads(*PATTERNS):
        try:
            rows = rows_in(head, path)
        except DataError:
            continue
        try:
            if _table(rows, path) is not None:
                return True
        except DataError:
            return True
    return False


def read(root: Path, given: Named | None) -> Export:
    """Read the boxes of every image that a table names; a column `split`, the table's name or a folder says the split.

    Raises:
        DataError: If a table can't be read, doesn't say what its boxes are, or names an image of another table.
        ConfigError: If no column has classes and several are asked for.
    """
    folder, dropped, items, others = Folder(root), Dropped(), list[Item](), list[list[list[str]]]()
    owners, notes = dict[str, str](), dict[str, None]()
    for path in (path for ending in TABLES for path in folder.ending(ending)):
        rows = rows_of(folder.path(path))
        table = _table(rows, str(folder.path(path)))
        if table is None:
            others.append(rows)
            dropped.add("tables without boxes", path)
            continue
        checked = _rows(folder, path, table, rows)
        shares = max((max(row.values) for row in checked if row.values), default=math.inf) <= 1
        notes |= dict.fromkeys(_remarks(path, table, shares))
        one_class, boxes = _one_class(given) if table.label is None else "", Reading(table.kind)
        for image, group in _by_image(folder, path, checked, dropped).items():
            if owners.setdefault(image, path) != path:
                raise DataError(
                    f"{image} is in two tables", seen=f"{owners[image]}, {path}", fix="leave one of them in the export"
                )
            items.append(_item(folder, path, image, boxes, group, one_class, shares, dropped))
        boxes.check(folder.path(path))
    for image in sorted(set(folder.images) - owners.keys()):
        dropped.add("images in no table", image)
    names = _names({thing.name for item in items for thing in item.things}, others)
    called = (replace(item, things=tuple(replace(each, name=names[each.name]) for each in item.things)) for item in items)
    return Export("objects", tuple(called), tuple(sorted(set(names.values()))), dropped, (*_empty(items), *notes))


def _table(rows: Sequence[Sequence[str]], where: str) -> Table | None:
    """Find the columns of a table; None if it is none of boxes.

    Raises:
        DataError: If it is one, and its columns don't say what a box is.
    """
    if not rows:
        return None
    headless = next((names for names in HEADLESS if _fits(rows[0], names)), None)
    heading = headless or tuple(plain(rows[0]))
    name = column(heading, NAMES)
    systems = [each for each in SYSTEMS if set(each[1]) <= set(heading)]
    found = {names[0]: (kind, names) for kind, names in reversed(systems)}
    if name is None or not (found or BOXES & set(heading)):
        return None
    twice = any(heading.count(each) > 1 for _, names in found.values() for each in names)
    if len(found) != 1 or twice or FOUR_POINTS & set(heading):
        allowed = "; ".join(f"{' '.join(names)} ({kind})" for kind, names in SYSTEMS)
        raise DataError(
            f"the columns of {where} don't say what a box is",
            seen=", ".join(heading)[:400],
            allowed=allowed,
            fix="leave the columns of one of these in the table",
        )
    ((kind, names),) = found.values()
    others = [cell if at != name and cell not in names else "" for at, cell in enumerate(heading)]
    label = column(others, (*BOX_LABELS, "name"))
    return Table(heading, int(headless is None), name, label, kind, tuple(map(heading.index, names)))


def _fits(row: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether a first row is one of boxes, of a table without a heading."""
    if len(row) != len(names):
        return False
    cells = dict(zip(names, row, strict=True))
    numbers = [cells[each].strip() for each in names if each not in ("filename", "label")]
    return is_image(cells["filename"].strip()) and (all(map(_is_number, numbers)) or not any(numbers))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _rows(folder: Folder, path: str, table: Table, rows: Sequence[Sequence[str]]) -> list[Row]:
    numbered = enumerate(rows[table.first :], start=table.first + 1)
    return [_row(table, row, f"row {at} of {folder.path(path)}") for at, row in numbered]


def _by_image(folder: Folder, path: str, rows: Sequence[Row], dropped: Dropped) -> dict[str, list[Row]]:
    """Path of each image → its rows, also of rows that name it in several ways."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.image, []).append(row)
    images: dict[str, list[Row]] = {}
    for name, group in found.items():
        image = image_of(folder, path, name)
        if image is None:
            dropped.add("images that aren't there", group[0].where)
        else:
            images.setdefault(image, []).extend(group)
    return images


def _row(table: Table, row: Sequence[str], where: str) -> Row:
    if len(row) != len(table.heading):
        raise unlike(row, table.heading, where)
    cells = [cell.strip() for cell in row]
    box = [cells[at] for at in table.box]
    if len(box) == 1:
        box = [part for part in re.split(r"[\s,;]+", box[0].strip("[](){} ")) if part] or [""] * 4
    empty = all(each.lower() in EMPTY for each in box)
    label = None if table.label is None else cells[table.label]
    if len(box) != 4 or not cells[table.name] or (label == "" and not empty):
        raise DataError(
            f"{where} lacks a part", seen=shown(row), allowed="an image, and four numbers and a class for each object"
        )
    values = () if empty else tuple(number(each, f"the box of {where}") for each in box)
    more = {name: cell for at, (name, cell) in enumerate(zip(table.heading, cells, strict=True)) if at not in table.box}
    return Row(cells[table.name], where, more, label, values)


def _item(
    folder: Folder, path: str, image: str, boxes: Reading, rows: Sequence[Row], one_class: str, shares: bool, dropped: Dropped
) -> Item:
    collector, first = Collector(image, dropped), rows[0]
    across, down = next((pair for pair in SIZES if set(pair) <= first.cells.keys()), ("", ""))
    size = size_of(first.cells.get(across), first.cells.get(down), first.where) or image_size(folder.path(image))
    for row in (row for row in rows if row.values):
        x, y, third, fourth = row.values
        numbers = (x * size[0], y * size[1], third * size[0], fourth * size[1]) if shares else (x, y, third, fourth)
        collector.box(row.label or one_class, boxes.corners(numbers, size), crowd=_is_crowd(row))
    splits = [split_in(path, image, next((row.cells[each] for each in SPLITS if each in row.cells), "")) for row in rows]
    if len(set(splits)) > 1:
        raise DataError(f"{image} is in several splits of {path}", seen=", ".join(sorted({str(each) for each in splits})))
    return Item(image, size, splits[0], tuple(collector.things))


def _is_crowd(row: Row) -> bool:
    said = next((row.cells[each].lower() for each in CROWD if each in row.cells), "")
    if said not in YES + NO:
        raise DataError(f"{row.where} has a region that is neither a crowd nor not", seen=shown(said), allowed="0 or 1")
    return said in YES


def _one_class(given: Named | None) -> str:
    """Return what the objects of a table without classes are called."""
    if given is not None and len(given.names) != 1:
        raise ConfigError("the table has no column of classes", seen=f"{len(given.names)} classes", allowed="--classes NAME")
    return ONE_CLASS if given is None else given.names[0]


def _names(labels: set[str], others: Sequence[Sequence[Sequence[str]]]) -> dict[str, str]:
    """Label → class: as a table of two columns calls all of them, each by a name of its own; else as it is."""
    for rows in others:
        named = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
        called = {label: named[label] for label in labels if named.get(label)}
        if called.keys() == labels and len(set(called.values())) == len(labels) and not any(map(_is_number, called.values())):
            return called
    return {label: label for label in labels}


def _empty(items: Sequence[Item]) -> Iterator[str]:
    empty = sum(not item.things for item in items)
    if empty:
        yield f"{empty} images have no objects; they are kept as background"


def _remarks(path: str, table: Table, shares: bool) -> Iterator[str]:
    """Say how a table was read, where it could be meant otherwise."""
    if shares:
        yield f"the boxes of {path} are read as shares of the image: none of their numbers is above 1"
    if table.label is None:
        yield "the table has no column of classes: all objects are of one class"
    elif table.heading[table.label] in LABELS and not BOXES & set(table.heading):
        yield f"{path} has a class and a box in each row, and becomes boxes; --as imagefolder takes the classes alone"
