"""Text files of each split that list its images: `PATH CLASS` a line (Caffe, mmpretrain), or `CLASS/NAME` (Food-101)."""

import os
import re
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.images.stores import SUFFIXES
from transfer.arrange.folder import SPLIT_NAMES, Folder, words_split
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import lines_of
from transfer.datasets.cocofile import Dropped

ENDING = ".txt"
PATTERNS = tuple(f"{above}*{name}*{ENDING}" for above in ("", "*/") for name in SPLIT_NAMES)
PAIR = re.compile(r"(?P<path>.*\S)[\s,;]+(?P<label>[^\s,;]+)")


def recognise(glance: Glance) -> bool:
    """Tell whether a list named as a split begins with an image and a class, or with one in the folder of its class."""
    heads = glance.heads(*PATTERNS)
    return any(words_split(path) and _is_line(head.lstrip().partition("\n")[0].strip()) for path, head in heads)


def read(root: Path, given: Named | None) -> Export:
    """Read the class of each image that a list names. Numbers are called as the images' folders, where those are one to one.

    Raises:
        DataError: If a list can't be read, or gives an image a second class or split.
    """
    folder, dropped, items = Folder(root), Dropped(), dict[str, Item]()
    for path in folder.ending(ENDING):
        lines, split = lines_of(folder.path(path)), words_split(path)
        if split is None or not lines or not _is_line(lines[0]):
            dropped.add("text files of another kind", path)
            continue
        for number, line in enumerate(lines, start=1):
            item = _item(folder, path, line, split)
            if item is None:
                dropped.add("images that aren't there", f"line {number} of {folder.path(path)}")
            elif items.setdefault(item.image, item) != item:
                first = items[item.image]
                raise DataError(
                    f"line {number} of {folder.path(path)} lists {item.image} again",
                    seen=f"{item.label} in {item.split}",
                    allowed=f"{first.label} in {first.split}, as before",
                    fix="leave one list of each split in the folder",
                )
    for image in sorted(set(folder.images) - items.keys()):
        dropped.add("images on no list", image)
    named = _by_folders(list(items.values()))
    every = [Item(each.image, None, each.split, label=named.get(str(each.label), each.label)) for each in items.values()]
    return Export("classes", tuple(every), tuple(sorted({str(each.label) for each in every})), dropped)


def _is_line(line: str) -> bool:
    pair = PAIR.fullmatch(line)
    listed = pair is not None and _ends_as_image(pair["path"])
    return listed or ("/" in line and len(line.split()) == 1)


def _ends_as_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES


def _item(folder: Folder, path: str, line: str, split: str) -> Item | None:
    pair = PAIR.fullmatch(line)
    labelled = pair is not None and _ends_as_image(pair["path"])
    name = pair["path"].strip("\"'") if pair is not None and labelled else line
    stem = path.rpartition("/")[2].removesuffix(ENDING)
    image = folder.image(name, stem)
    if image is None:
        return None
    return Item(image, None, split, label=pair["label"] if pair is not None and labelled else _folder(image))


def _by_folders(items: list[Item]) -> dict[str, str]:
    """Number of a class → name of its images' folder; empty unless they are numbers, each of one folder of its own."""
    folders: dict[str, set[str]] = {}
    for item in items:
        folders.setdefault(str(item.label), set()).add(_folder(item.image))
    alone = {label: min(found) for label, found in folders.items() if label.isdecimal() and len(found) == 1}
    return alone if len(set(alone.values())) == len(folders) else {}


def _folder(image: str) -> str:
    return os.path.basename(os.path.dirname(image))
