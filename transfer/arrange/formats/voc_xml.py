"""VOC's XML files in other folders than VOC's: beside the images, in one folder, or with `train/` and `valid/` (Roboflow)."""

from collections.abc import Mapping
from pathlib import Path

from transfer.arrange.collect import Collector, gathered
from transfer.arrange.folder import SPLIT_NAMES, TRAIN, VAL, Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import lines_of
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size
from transfer.datasets.vocfile import annotation_of, parse

LISTS = "ImageSets/Main/"
OWN = [f"VOC2007/{LISTS}{name}.txt" for name in ("trainval", "test")]
"""The layout itself, which needs no arranging."""
PATTERNS = ("*.xml", "*/*.xml", "*/*/*.xml", "*/*/*/*.xml")
IMAGES = ("JPEGImages", "images", "Images", "imgs")
ROTATED = ("robndbox", "rotated_bndbox")


def is_layout(glance: Glance) -> bool:
    """Tell whether this is the layout itself."""
    return all(map(glance.has, OWN))


def recognise(glance: Glance) -> bool:
    """Tell whether an XML file is VOC's, but the lists aren't the layout's."""
    heads = (glance.head(pattern) for pattern in PATTERNS)
    return not is_layout(glance) and any("<annotation" in head and "<annotations" not in head for head in heads)


def read(root: Path, given: Named | None) -> Export:
    """Read the boxes of every image that has a file; lists or folders say the split.

    Raises:
        DataError: If a file can't be read; names the object.
    """
    folder, dropped = Folder(root), Dropped()
    splits = _splits(folder)
    return gathered(folder, ".xml", lambda path: _item(folder, path, splits, dropped), dropped)


def _item(folder: Folder, path: str, splits: Mapping[str, str], dropped: Dropped) -> Item | None:
    above, _, name = path.rpartition("/")
    stem = name[: -len(".xml")]
    tree = parse(folder.path(path))
    if tree.tag != "annotation":
        dropped.add("XML files of another kind", path)
        return None
    places = (above.replace("Annotations", each, 1) for each in IMAGES)
    found = (
        folder.image(said, near)
        for said in (stem, (tree.findtext("filename") or "").strip())
        for near in (*places, above)
        if said
    )
    image = next((each for each in found if each is not None), None)
    if image is None:
        dropped.add("images that aren't there", path)
        return None
    if splits and stem not in splits:
        dropped.add("images on no list", image)
        return None
    collector = Collector(path, dropped)
    for each in [each for each in tree.findall("object") if each.find("bndbox") is None]:
        collector.drop("rotated boxes" if any(each.find(kind) is not None for kind in ROTATED) else "objects without a box")
        tree.remove(each)
    annotation = annotation_of(tree, folder.path(path), folder.path(image))
    for label, (left, top, right, bottom), difficult in zip(
        annotation.names, annotation.corners, annotation.difficult, strict=True
    ):
        collector.box(label, (left - 1, top - 1, right, bottom), difficult=difficult)
    size = annotation.size or image_size(annotation.image)
    return Item(image, size, splits.get(stem) or split_of(path), tuple(collector.things))


def _splits(folder: Folder) -> dict[str, str]:
    """Read the lists: VOC's own pair is trainval and test; with neither, train and val. Lists of a class have a `_`."""
    lists = {path.rpartition("/")[2][: -len(".txt")].lower(): path for path in folder.ending(".txt") if LISTS in f"/{path}"}
    lists = {name: path for name, path in lists.items() if name in SPLIT_NAMES}
    meant = {"trainval": TRAIN, "test": VAL} if {"trainval", "test"} <= lists.keys() else SPLIT_NAMES
    if "val" in lists and meant is SPLIT_NAMES:
        lists.pop("trainval", None)
    splits: dict[str, str] = {}
    for name, path in lists.items():
        if name in meant:
            splits |= dict.fromkeys((line.split()[0] for line in lines_of(folder.path(path))), meant[name])
    return splits
