"""Label maps in `SUBSETannot/` or `SUBSET_labels/` beside the images in `SUBSET/`: CVAT's CamVid export, CamVid itself."""

import os
from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.folder import SPLIT_NAMES, Folder
from transfer.arrange.formats.masks import ENDINGS, MARKS, SUFFIXES, exported, listed
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.datasets.cocofile import Dropped

ANNOTATED = ("_annot", "annot", "_labels", "_label", "_masks", "_mask")
"""What the folder of label maps has behind the name of the images'."""


def recognise(glance: Glance) -> bool:
    """Tell whether a folder of label maps lies beside one of images."""
    folders = set(glance.folders())
    return any(
        name.removesuffix(ending) in folders and glance.has(*(f"{name}/*.{suffix}" for suffix in SUFFIXES))
        for name in folders
        for ending in ANNOTATED
        if name.endswith(ending)
    )


def read(root: Path, given: Named | None) -> Export:
    """Read the pairs of every subset.

    Raises:
        DataError: If there is no pair, or a value has no class.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    for path in (path for suffix in SUFFIXES for path in folder.ending(f".{suffix}")):
        above, _, name = path.rpartition("/")
        subset = next((above.removesuffix(ending) for ending in ANNOTATED if above.endswith(ending)), None)
        if subset is None:
            continue
        image = _image(folder, subset, os.path.splitext(name)[0])
        if image is None:
            dropped.add("label maps without an image", path)
        else:
            items.append(Item(image, None, SPLIT_NAMES.get(subset.lower()), label_map=path))
    if not items:
        allowed = "default/NAME.jpg for defaultannot/NAME.png"
        raise DataError(f"no label map of {root} has an image", allowed=allowed, fix="export the images, too")
    return exported(folder, items, given or listed(folder), dropped)


def _image(folder: Folder, subset: str, stem: str) -> str | None:
    stems = dict.fromkeys((stem, *(stem.removesuffix(mark) for mark in MARKS)))
    return next((path for each in stems for end in ENDINGS if folder.has(path := f"{subset}/{each}.{end}")), None)
