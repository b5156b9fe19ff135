"""KITTI's objects, also as NVIDIA's TAO takes them: a text file for each image, one line of 15 columns for each object.

`type truncated occluded alpha left top right bottom`, then seven numbers about the object in space. Left, top, right and bottom
count from 0, and a box is right − left wide, as in the benchmark's own evaluation (`evaluate_object.cpp`).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import SPLIT_NAMES, TEST, Folder, one_of, split_of
from transfer.arrange.glance import Glance, beginning
from transfer.arrange.items import Box, Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import lines_of, number
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size

PLACES = (("image_2", "label_2"), ("images", "labels"))
"""Folders of images, and the folder of labels in their place."""
PATTERNS = ("label_2/*.txt", "*/label_2/*.txt", "labels/*.txt", "*/labels/*.txt", "labels/*/*.txt", "*.txt", "*/*.txt")
IGNORED = "dontcare"
NUMBERS = 14
"""Numbers behind the type; predictions have a score besides."""
ALLOWED = "type truncated occluded alpha left top right bottom and 7 more numbers"
LISTS = "ImageSets/"
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


class Row(NamedTuple):
    """A line of a file."""

    name: str
    box: Box
    scored: bool


def recognise(glance: Glance) -> bool:
    """Tell whether a text file begins with such a line."""
    return any(_is_label(head) for _, head in glance.heads(*PATTERNS))


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every image that has a file; an empty file is one without objects.

    Raises:
        DataError: If a line isn't such a row, or files of one image differ.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    splits, used, scored = _splits(folder), set[str](), 0
    for image in folder.images:
        paths = folder.beside(image, ".txt", places=PLACES)
        if not paths:
            dropped.add("images without a file of annotations", image)
            continue
        used.update(paths)
        collector = Collector(paths[0], dropped)
        for row in _rows(folder, paths):
            scored += row.scored
            if row.name.lower() == IGNORED:
                collector.drop("ignored regions (DontCare)")
            else:
                collector.box(row.name, row.box)
        size, split = image_size(folder.path(image)), splits.get(Path(image).stem) or split_of(image)
        items.append(Item(image, size, split, tuple(collector.things)))
    for path in sorted(set(folder.ending(".txt")) - used):
        if _is_label(beginning(folder.path(path))):
            dropped.add("text files with objects of no image", path)
    classes = sorted({thing.name for item in items for thing in item.things})
    return Export("objects", tuple(items), tuple(classes), dropped, tuple(_notes(items, scored)))


def _notes(items: list[Item], scored: int) -> list[str]:
    empty = sum(not item.things for item in items)
    notes = [f"{empty} images have no objects; they are kept as background"] if empty else []
    return notes + ([f"{scored} objects have a score, as predictions have; they are read as the truth"] if scored else [])


def _rows(folder: Folder, paths: list[str]) -> list[Row]:
    """Read the file of an image, or several that are equal."""
    path, lines = one_of(folder, paths)
    return [_row(line.split(), f"line {at} of {folder.path(path)}") for at, line in enumerate(lines, start=1)]


def _row(fields: list[str], where: str) -> Row:
    """Read a line. A type may have several words; what is behind it are numbers."""
    name, values = _divided(fields)
    if len(values) not in (NUMBERS, NUMBERS + 1) or not name:
        seen = f"{shown(' '.join(fields))}, which has {len(values)} numbers at its end"
        raise DataError(f"{where} is no row of KITTI's", seen=seen, allowed=ALLOWED)
    left, top, right, bottom = (number(value, where) for value in values[3:7])
    return Row(" ".join(name), (left, top, right, bottom), len(values) > NUMBERS)


def _divided(fields: list[str]) -> tuple[list[str], list[str]]:
    """Divide a line's fields into the type and the numbers at its end."""
    at = next((at for at in range(len(fields), 0, -1) if not _is_number(fields[at - 1])), 0)
    return fields[:at], fields[at:]


def _is_number(field: str) -> bool:
    return NUMBER.fullmatch(field) is not None


def _is_label(head: str) -> bool:
    """Tell whether a text begins with a row; one of the tracking benchmark begins with two numbers."""
    name, values = _divided(head.partition("\n")[0].split())
    return bool(name) and len(values) in (NUMBERS, NUMBERS + 1) and not _is_number(name[0])


def _splits(folder: Folder) -> Mapping[str, str]:
    """Read the lists of training and validation images; those of `test` are of images without labels."""
    splits: dict[str, str] = {}
    for path in (each for each in folder.ending(".txt") if LISTS in f"/{each}"):
        name = path.rpartition("/")[2][: -len(".txt")].lower()
        if name != "trainval" and SPLIT_NAMES.get(name, TEST) != TEST:
            splits |= dict.fromkeys((Path(line).stem for line in lines_of(folder.path(path))), SPLIT_NAMES[name])
    return splits
