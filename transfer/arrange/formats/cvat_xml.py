"""CVAT for images 1.1: `annotations.xml`, with boxes, polygons, masks and tags of each image."""

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import SPLIT_NAMES, Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import number, size_of, whole, word
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size
from transfer.datasets.vocfile import parse

NAME = "annotations.xml"
LARGEST = 2**28
"""Bytes of a project's annotations at most."""
BOX = ("xtl", "ytl", "xbr", "ybr")


def recognise(glance: Glance) -> bool:
    """Tell whether the file is CVAT's."""
    head = glance.head(NAME, "*.xml", f"*/{NAME}")
    return "<annotations" in head and ("<image " in head or "<meta" in head or "<track " in head)


def read(root: Path, given: Named | None) -> Export:
    """Read objects, or classes where images have tags alone.

    Raises:
        DataError: If a file can't be read; names the image.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    names: dict[str, None] = {}
    for path in folder.ending(".xml"):
        tree = parse(folder.path(path), LARGEST)
        if tree.tag != "annotations":
            dropped.add("XML files of another kind", path)
            continue
        names |= dict.fromkeys((each.text or "").strip() for each in tree.iterfind("meta//labels/label/name"))
        for _ in tree.findall("track"):
            dropped.add("tracks of a video", path)
        items += [item for each in tree.findall("image") if (item := _item(folder, path, each, dropped)) is not None]
    names |= dict.fromkeys(thing.name for item in items for thing in item.things)
    tagged = any(item.label for item in items) and not any(item.things for item in items)
    if tagged:
        for item in items:
            if item.label is None:
                dropped.add("images without a tag", item.image)
        items = [item for item in items if item.label is not None]
        return Export("classes", tuple(items), tuple(sorted({str(item.label) for item in items})), dropped)
    tags = sum(item.label is not None for item in items)
    notes = (f"tags of {tags} images left out: they have objects",) if tags else ()
    return Export(
        "objects", tuple(Item(i.image, i.size, i.split, i.things) for i in items), tuple(n for n in names if n), dropped, notes
    )


def _item(folder: Folder, path: str, entry: Element, dropped: Dropped) -> Item | None:
    name = word(entry.get("name"), f"the name of an image in {folder.path(path)}")
    where, subset = f"{name} in {path}", entry.get("subset") or ""
    image = folder.image(name, subset)
    if image is None:
        dropped.add("images that aren't there", where)
        return None
    size = size_of(entry.get("width"), entry.get("height"), where) or image_size(folder.path(image))
    collector = Collector(where, dropped)
    for shape in entry:
        _add(shape, collector, where, size)
    tags = [word(each.get("label"), f"a tag of {where}") for each in entry.findall("tag")]
    for _ in tags[1:]:
        dropped.add("further tags of an image", where)
    return Item(
        image,
        size,
        SPLIT_NAMES.get(subset.lower()) or split_of(image),
        tuple(collector.things),
        label=tags[0] if tags else None,
    )


def _add(shape: Element, collector: Collector, where: str, size: tuple[int, int]) -> None:
    if shape.tag == "tag":
        return
    if shape.tag not in ("box", "polygon", "mask"):
        collector.drop(f"shapes of the kind {shape.tag!r}"[:60])
        return
    name = word(shape.get("label"), f"the label of a shape of {where}")
    if shape.tag == "box" and number(shape.get("rotation") or 0, f"the rotation of a box of {where}") % 360:
        collector.drop("rotated boxes")
    elif shape.tag == "box":
        left, top, right, bottom = (number(shape.get(side), f"{side!r} of a box of {where}") for side in BOX)
        collector.box(name, (left, top, right, bottom))
    elif shape.tag == "polygon":
        pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";") if pair.strip()]
        if not all(len(pair) == 2 for pair in pairs):
            raise DataError(f"a polygon of {where} has no valid points", seen=shown(shape.get("points")), allowed="x,y;x,y;…")
        collector.shape(name, [[number(value, f"a point of {where}") for pair in pairs for value in pair]])
    else:
        collector.pixels(name, _mask(shape, where, size))


def _mask(shape: Element, where: str, size: tuple[int, int]) -> np.ndarray:
    """Draw a mask: runs of background and object by turns, row by row in its box."""
    left, top, wide, high = (
        whole(shape.get(side), f"{side!r} of a mask of {where}") for side in ("left", "top", "width", "height")
    )
    runs = [whole(each, f"the runs of a mask of {where}") for each in (shape.get("rle") or "").split(",")]
    width, height = size
    inside = left >= 0 and top >= 0 and wide > 0 and high > 0 and left + wide <= width and top + high <= height
    if not inside or min(runs) < 0 or sum(runs) != wide * high:
        seen = f"{wide} × {high} pixels at ({left}, {top}), runs of {sum(runs)} pixels"
        raise DataError(f"a mask of {where} doesn't fit", seen=seen, allowed=f"inside {width} × {height}, runs that cover it")
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + high, left : left + wide] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(high, wide)
    return mask
