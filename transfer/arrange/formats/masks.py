"""Plain folders: `images/` and `masks/`, or what people call them, with files of equal stems; splits above or below."""

import os
from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.folder import Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.maps import maps_of
from transfer.arrange.naming import Named, table
from transfer.datasets.cocofile import Dropped

IMAGES = ("images", "image", "imgs", "img", "img_dir", "images_png", "image_2", "jpegimages", "x")
MASKS = (
    *("masks", "mask", "labels", "label", "annotations", "segmentationclass", "gt", "groundtruth", "y"),
    *("ann_dir", "masks_png", "semantic"),
)
"""What people call the folders of images and of label maps: mmsegmentation, LoveDA and KITTI among them."""
ENDINGS = ("jpg", "jpeg", "png", "JPG", "JPEG", "bmp", "tif")
"""Endings of images, the usual first."""
SUFFIXES = ("png", "bmp", "tif", "tiff", "gif")
"""Endings of label maps."""
LOSSY = ("jpg", "jpeg")
"""Endings of what people take for label maps, and is refused for it."""
LISTS = ("label_colors.txt", "labelmap.txt", "class_dict.csv", "classes.txt", "codes.txt", "labels.txt")
"""Files that name the classes, with colours or without."""
MARKS = ("_mask", "_label", "_labels", "_gt", "_seg", "_segmentation", "_L", "-mask", "_matte")
"""What a label map's stem has behind its image's."""


def recognise(glance: Glance) -> bool:
    """Tell whether a folder of label maps lies beside one of images."""
    level = glance.folders()[:50]
    deeper = [f"{one}/{two}" for one in level[:5] for two in glance.folders(one)[:5]]
    for above in ("", *(f"{name}/" for name in (*level, *deeper))):
        lower = {name.lower(): name for name in glance.folders(above.rstrip("/"))}
        for mask in (lower[name] for name in MASKS if name in lower):
            maps = [f"{above}{mask}/{below}*.{suffix}" for below in ("", "*/") for suffix in (*SUFFIXES, *LOSSY)]
            if any(name in lower for name in IMAGES) and glance.has(*maps):
                return True
    return False


def read(root: Path, given: Named | None) -> Export:
    """Read pairs of image and label map.

    Raises:
        DataError: If there is no pair, or a value has no class.
    """
    folder, dropped = Folder(root), Dropped()
    drawn = [*folder.images, *folder.ending(".gif")]  # a GIF holds ids, but is no image that runs read
    maps = {_key(path, MASKS): path for path in drawn if _above(path, MASKS)}
    items = []
    for image in folder.images:
        if not _above(image, IMAGES):
            continue
        stem = _key(image, IMAGES)
        found = next((maps[each] for each in (stem, *(f"{stem}{mark}" for mark in MARKS)) if each in maps), None)
        if found is None:
            dropped.add("images without a label map", image)
        else:
            items.append(Item(image, None, split_of(image), label_map=found))
    for path in sorted(set(maps.values()) - {item.label_map for item in items}):
        dropped.add("label maps without an image", path)
    if not items:
        raise DataError(
            f"no image of {root} has a label map", seen=f"{len(maps)} label maps", allowed="images/NAME.jpg and masks/NAME.png"
        )
    return exported(folder, items, given or listed(folder), dropped)


def exported(
    folder: Folder, items: list[Item], named: Named | None, dropped: Dropped, spare: tuple[str, ...] | None = None
) -> Export:
    """Describe pairs of image and label map as an export.

    Raises:
        DataError: If a label map has a value without a class.
    """
    reader = maps_of([folder.path(str(item.label_map)) for item in items], named, spare)
    return Export("maps", tuple(items), reader.names, dropped, ids=reader)


def listed(folder: Folder) -> Named | None:
    """Read the list of classes that lies with the maps; None if there is none."""
    found = next((path for name in LISTS for path in folder.files if path.rpartition("/")[2].lower() == name), None)
    return None if found is None else table(folder.path(found))


def _above(path: str, names: tuple[str, ...]) -> bool:
    return any(part.lower() in names for part in path.split("/")[:-1])


def _key(path: str, names: tuple[str, ...]) -> str:
    """The path without its kind of folder and its ending: equal for an image and its label map."""
    parts = os.path.splitext(path)[0].split("/")
    at = max(index for index, part in enumerate(parts[:-1]) if part.lower() in names)
    return "/".join([*parts[:at], *parts[at + 1 :]])
