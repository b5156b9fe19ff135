"""YOLO and Darknet: one text file for each image, a line `class x y width height` or `class x y x y …` for each object.

All numbers are shares of the image's width and height. The names of the classes come from `data.yaml`, `obj.names`, `*.names`
or `classes.txt`, or from the user.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretrain.core.errors import DataError
from pretrain.core.plain import read_yaml
from transfer.arrange.collect import Collector
from transfer.arrange.folder import SPLIT_NAMES, Folder, one_of, split_of
from transfer.arrange.glance import Glance, beginning
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import lines_of, whole, word
from transfer.arrange.yololines import BOX, Lines
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size

PLACES = (("images", "labels"), ("jpegimages", "labels"))
"""Folders of images, and the folder of labels in their place."""
NAMES = ("obj.names", "*.names", "data/*.names", "classes.txt", "*/classes.txt", "*/*/classes.txt")
LABELS = ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt", "*/labels/*/*.txt", "obj_*_data/*.txt", "*.txt", "*/*.txt")


def recognise(glance: Glance) -> bool:
    """Tell whether a configuration with names is there, or a text file begins with a class and four shares or more."""
    if glance.has("obj.data", "obj.names") or any("names:" in glance.head(pattern) for pattern in ("*.yaml", "*.yml")):
        return glance.has(*LABELS)
    return any(_is_label(glance.head(pattern)) for pattern in LABELS)


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every image; an image without a file, or with an empty one, has none.

    Raises:
        DataError: If a line can't be read, or the classes have no names.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    described = _described(folder)
    names = _names(folder, described, given)
    splits = _splits(folder, described)
    lines = Lines(names, "kpt_shape" in described)
    used, empty = set[str](), 0
    for image in folder.images:
        paths = folder.beside(image, ".txt", places=PLACES)
        used.update(paths)
        path = _label(folder, paths)
        collector, size = Collector(path or image, dropped), image_size(folder.path(image))
        for at, line in enumerate(lines_of(folder.path(path)) if path else (), start=1):
            lines.add(line, collector, f"line {at} of {folder.path(path or image)}", size)
        empty += not collector.things
        items.append(Item(image, size, splits.get(image) or split_of(image), tuple(collector.things)))
    if empty == len(items):
        raise DataError(
            f"no image of {root} has a text file with objects",
            seen=f"{len(items)} images",
            allowed="labels/NAME.txt for images/NAME.jpg, or both in one folder",
        )
    lines.check(root)
    for path in sorted(set(folder.ending(".txt")) - used):
        if _is_label(beginning(folder.path(path))):
            dropped.add("text files with objects of no image", path)
    notes = (f"{empty} images have no objects; they are kept as background",) if empty else ()
    return Export("objects", tuple(items), names, dropped, (*notes, *lines.notes()))


def _label(folder: Folder, paths: Sequence[str]) -> str | None:
    """Choose the text file of an image's objects; None if it has none.

    Raises:
        DataError: If there are several, and they differ.
    """
    if len(paths) > 1:  # a caption may lie beside an image
        heads = {path: beginning(folder.path(path)) for path in paths}
        paths = [path for path, head in heads.items() if _is_label(head) or not head.strip()] or paths[:1]
    return one_of(folder, paths)[0] if len(paths) > 1 else next(iter(paths), None)


def _described(folder: Folder) -> Mapping[str, Any]:
    """Read the configuration that names or counts the classes; empty if there is none."""
    tops = [path for path in (*folder.ending(".yaml"), *folder.ending(".yml")) if "/" not in path]
    for word_ in ("names:", "nc:"):
        for path in tops:
            if word_ in beginning(folder.path(path)):
                return read_yaml(folder.path(path))
    return {}


def _names(folder: Folder, described: Mapping[str, Any], given: Named | None) -> tuple[str, ...]:
    """Find the classes' names, as many as the configuration counts.

    Raises:
        DataError: If nobody names them, or their number is another one.
    """
    names, count = _named(folder, described, given), described.get("nc")
    if isinstance(count, int) and count != len(names):
        seen, fix = f"nc: {count}, and {len(names)} names", "correct nc, or name every class in the order of the numbers"
        raise DataError("the configuration counts other classes than have names", seen=seen, allowed="one number", fix=fix)
    return names


def _named(folder: Folder, described: Mapping[str, Any], given: Named | None) -> tuple[str, ...]:
    names = described.get("names")
    if isinstance(names, dict):
        numbers = sorted(whole(key, "a class's number in data.yaml") for key in names)
        if numbers != list(range(len(numbers))):
            raise DataError("data.yaml doesn't number its classes from 0", seen=shown(numbers), allowed="0, 1, 2, …")
        names = [names.get(key, names.get(str(key))) for key in numbers]
    if isinstance(names, list):
        return tuple(word(name, "a class in data.yaml") for name in names)
    found = Glance(folder.root).first(*NAMES)
    if found is not None:
        return tuple(lines_of(folder.path(found)))
    if given is not None:
        return given.names
    raise DataError(
        f"the classes of {folder.root} have no names",
        seen=f"{'a configuration without names' if described else 'no data.yaml'}, no obj.names, no classes.txt",
        fix="name them in the order of their numbers: --classes cat,dog, or --classes FILE with one a line",
    )


def _splits(folder: Folder, described: Mapping[str, Any]) -> dict[str, str]:
    """Find the split of each image that a list, or the configuration's folder, gives exactly one."""
    splits: dict[str, set[str]] = {}
    listings = {path: SPLIT_NAMES.get(path.rpartition("/")[2][: -len(".txt")].lower()) for path in folder.ending(".txt")}
    for name, split in SPLIT_NAMES.items():
        places = described.get(name)
        for place in places if isinstance(places, list) else [places]:
            if isinstance(place, str) and place.endswith(".txt"):
                listings |= {path: split for path in listings if f"/{path}".endswith("/" + place.lstrip("./"))}
            elif isinstance(place, str) and place.strip("./"):
                start = place.strip("./") + "/"
                for image in (image for image in folder.images if image.startswith(start)):
                    splits.setdefault(image, set()).add(split)
    for path, listed in listings.items():
        if listed and path.count("/") <= 1:
            lines = lines_of(folder.path(path))
            if not _is_label("\n".join(lines[:1])):
                for found in filter(None, map(folder.image, lines)):
                    splits.setdefault(found, set()).add(listed)
    return {image: min(said) for image, said in splits.items() if len(said) == 1}


def _is_label(head: str) -> bool:
    fields = head.partition("\n")[0].split()
    try:
        return len(fields) >= BOX and fields[0].isdigit() and all(-1 <= float(field) <= 2 for field in fields[1:BOX])
    except ValueError:
        return False
