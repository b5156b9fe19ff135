"""Label maps as VOC and CVAT's `Segmentation mask` have them: `SegmentationClass/`, `labelmap.txt`, lists of splits."""

from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.folder import SPLIT_NAMES, Folder, split_of
from transfer.arrange.formats.masks import ENDINGS, exported
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named, table
from transfer.arrange.values import lines_of
from transfer.datasets.cocofile import Dropped

MAPS, LISTS, LABELS = "SegmentationClass", "ImageSets/Segmentation", "labelmap.txt"
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""Names of VOC's label ids."""


def recognise(glance: Glance) -> bool:
    """Tell whether there are such maps, in this folder or below, as in `VOCdevkit/VOC2012`."""
    return glance.has(*(f"{depth}{MAPS}/*.png" for depth in ("", "*/", "*/*/")))


def read(root: Path, given: Named | None) -> Export:
    """Read the pairs; CVAT's list gives the colours, otherwise the ids are VOC's.

    Raises:
        DataError: If there is no pair, or a colour has no class.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    splits = _splits(folder)
    for path in folder.ending(".png"):
        above, _, name = path.rpartition("/")
        if MAPS not in above.split("/"):
            continue
        image = _image(folder, above[: above.index(MAPS)], name.removesuffix(".png"))
        if image is None:
            dropped.add("label maps without an image", path)
            continue
        items.append(Item(image, None, splits.get(name.removesuffix(".png")) or split_of(path), label_map=path))
    if not items:
        raise DataError(
            f"no label map of {root} has an image",
            allowed="JPEGImages/NAME.jpg for SegmentationClass/NAME.png",
            fix="export the images, too",
        )
    named = given or (table(root / LABELS) if folder.has(LABELS) else None)
    return exported(folder, items, named, dropped, VOC)


def _image(folder: Folder, home: str, stem: str) -> str | None:
    """Find the image of a label map: one of that stem outside the folders of maps."""
    found = (f"{home}{near}{stem}.{end}" for near in ("JPEGImages/", "images/", "") for end in ENDINGS)
    return next((path for path in found if folder.has(path)), None)


def _splits(folder: Folder) -> dict[str, str]:
    """Read the lists; one of `default` says nothing."""
    splits: dict[str, str] = {}
    for path in (each for each in folder.ending(".txt") if f"/{LISTS}/" in f"/{each}"):
        name = path.rpartition("/")[2].removesuffix(".txt").lower()
        if name in SPLIT_NAMES and name != "trainval":
            splits |= dict.fromkeys((line.split()[0] for line in lines_of(folder.path(path))), SPLIT_NAMES[name])
    return splits
