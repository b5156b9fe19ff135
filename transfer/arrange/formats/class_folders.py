"""A folder for each class, without splits, or with splits of any name around or inside: `seg_train/CLASS`, `CLASS/train`."""

import os
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.images.stores import SUFFIXES
from transfer.arrange.folder import SPLIT_NAMES, Folder, words_split
from transfer.arrange.formats.masks import IMAGES, MASKS
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.datasets.cocofile import Dropped

OWN = ("train", "val")
"""The layout itself, which needs no arranging."""
DEEPEST = 3
"""Levels at which the folders of classes are looked for."""


def recognise(glance: Glance) -> bool:
    """Tell whether two or more folders that are no splits hold images, at one of the first levels."""
    if all(name in glance.folders() for name in OWN):
        return False
    level = [""]
    for _ in range(DEEPEST):
        for above in level:
            names = glance.folders(above.rstrip("/"))
            if {name.lower() for name in names} & {*IMAGES, *MASKS}:
                continue
            classes = [f"{above}{name}" for name in names if words_split(f"{name}/") is None]
            if sum(_holds_images(glance, each) for each in classes[:5]) > 1:
                return True
        level = [f"{above}{name}/" for above in level for name in glance.folders(above.rstrip("/"))[:3]]
    return False


def _holds_images(glance: Glance, folder: str) -> bool:
    """Tell whether images lie in a folder, or in one of its folders that is called as a split."""
    places = (folder, *(f"{folder}/{name}" for name in glance.folders(folder)[:5] if name.lower() in SPLIT_NAMES))
    return any(glance.has(f"{place}/*{suffix}") for place in places for suffix in SUFFIXES)


def read(root: Path, given: Named | None) -> Export:
    """Take the first folder as the class in which the images of a split differ, however deep they lie in it.

    Raises:
        DataError: If no folder tells the images apart.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    groups: dict[str | None, list[str]] = {}
    for image in folder.images:
        groups.setdefault(_split(os.path.dirname(image)), []).append(image)
    for split, images in groups.items():
        above = os.path.commonpath([os.path.dirname(image) for image in images])
        for image in images:
            inside = os.path.relpath(image, above or ".").split("/")[:-1]
            if inside:
                items.append(Item(image, None, split, label=inside[0]))
            else:
                dropped.add("images beside the class folders", image)
    classes = sorted({str(item.label) for item in items})
    if len(classes) < 2:
        raise DataError(f"{root} has no class folders", seen=f"{len(folder.images)} images", allowed="CLASS/IMAGE.jpg")
    return Export("classes", tuple(items), tuple(classes), dropped)


def _split(folder: str) -> str | None:
    """Tell the split of a folder's images: the folders above say it first, for a class may be called `train` or `test_tube`."""
    return words_split(f"{os.path.dirname(folder)}/") or words_split(f"{folder}/")
