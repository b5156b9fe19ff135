"""CUB-200-2011 and data in its form: `images.txt`, `image_class_labels.txt`, `train_test_split.txt`, `classes.txt`."""

from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import DataError
from transfer.arrange.folder import TEST, TRAIN, Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import lines_of
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped

IMAGES, LABELS, SPLIT, CLASSES = "images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"
TRAINED, TESTED = "1", "0"


class Line(NamedTuple):
    """What the lists say of an image."""

    number: str
    """Its number in all lists."""
    image: str
    label: str
    split: str | None


def recognise(glance: Glance) -> bool:
    """Tell whether the lists of images and of their classes are there."""
    return glance.has(IMAGES) and glance.has(LABELS)


def read(root: Path, given: Named | None) -> Export:
    """Read the class and the split of each image.

    Raises:
        DataError: If a list can't be read, lacks an image or a class, or names two classes alike.
    """
    folder, dropped = Folder(root), Dropped()
    lines = listed(folder, dropped)
    items = tuple(Item(line.image, None, line.split, label=line.label) for line in lines)
    return Export("classes", items, tuple(sorted({line.label for line in lines})), dropped)


def listed(folder: Folder, dropped: Dropped) -> list[Line]:
    """Return what the lists say of each image that is there.

    Raises:
        DataError: If a list can't be read, lacks an image or a class, or names two classes alike.
    """
    images, labels = columns(folder, IMAGES), columns(folder, LABELS)
    splits = columns(folder, SPLIT) if folder.has(SPLIT) else {}
    classes = columns(folder, CLASSES) if folder.has(CLASSES) else {}
    _check_named_once(folder.path(CLASSES), classes)
    found = []
    for number, name in images.items():
        image = folder.image(name, "images")
        if image is None:
            dropped.add("images that aren't there", name)
            continue
        label, said = _at(labels, number, LABELS), splits.get(number)
        if splits and said not in (TRAINED, TESTED):
            raise DataError(f"{SPLIT} says neither of image {number}", seen=shown(said), allowed="1 for training, or 0")
        split = split_of(image) if said is None else TRAIN if said == TRAINED else TEST
        found.append(Line(number, image, _at(classes, label, CLASSES) if classes else label, split))
    return found


def columns(folder: Folder, name: str) -> dict[str, str]:
    """Read a list of `NUMBER REST` lines.

    Raises:
        DataError: If a line is none, or two are of one number.
    """
    found: dict[str, str] = {}
    for at, line in enumerate(lines_of(folder.path(name)), start=1):
        number, _, rest = line.partition(" ")
        if not rest.strip() or number in found:
            allowed = "a number of its own, a blank, and what is said of it"
            raise DataError(f"line {at} of {folder.path(name)} is no line of such a list", seen=shown(line), allowed=allowed)
        found[number] = rest.strip()
    return found


def _check_named_once(path: Path, classes: dict[str, str]) -> None:
    first: dict[str, str] = {}
    for number, name in classes.items():
        if first.setdefault(name, number) != number:
            seen = f"{name!r} as {first[name]} and as {number}"
            raise DataError(f"{path} gives two classes one name", seen=seen, fix="give each class a name of its own")


def _at(said: dict[str, str], number: str, name: str) -> str:
    if number not in said:
        raise DataError(f"{name} lacks a line", seen=f"nothing of number {number}", fix="get the whole list")
    return said[number]
