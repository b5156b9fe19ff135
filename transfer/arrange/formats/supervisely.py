"""Supervisely: `meta.json`, and for every dataset `DATASET/img/NAME` with `DATASET/ann/NAME.json`."""

import base64
import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretrain.core.errors import DataError
from pretrain.images.decode import BROKEN, opened
from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import corners, entries, json_of, mapping, points, size_of, whole, word
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size
from transfer.detection.masks import in_image

LARGEST_BITMAP = 2**28
"""Bytes of a bitmap's PNG at most, once unpacked."""
LEAST = 3
"""Points of an outline at least."""


def recognise(glance: Glance) -> bool:
    """Tell whether the classes and a dataset's annotations are there."""
    return glance.has("meta.json") and glance.has("*/ann/*.json", "ann/*.json")


def read(root: Path, given: Named | None) -> Export:
    """Read every dataset; one that is named after a split is that split.

    Raises:
        DataError: If a file can't be read; names the object.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    meta = entries(json_of(root / "meta.json").get("classes"), f"'classes' of {root / 'meta.json'}")
    classes = dict.fromkeys(word(each.get("title"), f"a class of {root / 'meta.json'}") for each in meta)
    for image in folder.images:
        above, _, name = image.rpartition("/")
        if above.rpartition("/")[2] != "img":
            continue
        # The first releases left the image's own ending out.
        places = (f"{above.removesuffix('img')}ann/{each}.json" for each in (name, os.path.splitext(name)[0]))
        path = next(filter(folder.has, places), None)
        if path is None:
            dropped.add("images without a file of annotations", image)
            continue
        items.append(_item(folder, path, image, dropped))
    classes |= dict.fromkeys(thing.name for item in items for thing in item.things)
    return Export("objects", tuple(items), tuple(classes), dropped)


def _item(folder: Folder, path: str, image: str, dropped: Dropped) -> Item:
    found, collector = json_of(folder.path(path)), Collector(path, dropped)
    said = mapping(found.get("size") or {}, f"'size' of {path}")
    size = size_of(said.get("width"), said.get("height"), path) or image_size(folder.path(image))
    for number, entry in enumerate(entries(found.get("objects"), f"'objects' of {path}")):
        _add(entry, collector, f"object {number + 1} of {folder.path(path)}", size)
    for _ in entries(found.get("tags"), f"'tags' of {path}"):
        collector.drop("tags of images")
    return Item(image, size, split_of(image), tuple(collector.things))


def _add(entry: dict[str, Any], collector: Collector, where: str, size: tuple[int, int]) -> None:
    name, kind = word(entry.get("classTitle"), f"the class of {where}"), entry.get("geometryType")
    if kind == "bitmap":
        collector.pixels(name, _bitmap(mapping(entry.get("bitmap"), f"the bitmap of {where}"), where, size))
        return
    if kind not in ("rectangle", "polygon"):
        collector.drop(f"shapes of the kind {shown(kind)}")
        return
    shape = mapping(entry.get("points"), f"'points' of {where}")
    outside = points(shape.get("exterior"), f"'exterior' of {where}")
    inside = shape.get("interior") or []
    if not isinstance(inside, list):
        raise DataError(f"'interior' of {where} is not a list", seen=shown(inside), allowed="a list of outlines")
    holes = [hole for each in inside if len(hole := points(each, f"'interior' of {where}")) >= LEAST]
    if kind == "rectangle" and outside:
        collector.box(name, corners(outside))
    elif len(outside) >= LEAST and holes:
        collector.pixels(name, _filled(outside, size) & ~np.any([_filled(hole, size) for hole in holes], axis=0))
    else:
        collector.shape(name, [[value for point in outside for value in point]])


def _filled(outline: list[tuple[float, float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    width, height = size
    return in_image((np.array(outline).ravel(),), height, width).astype(bool)


def _bitmap(entry: dict[str, Any], where: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Unpack a mask: a PNG, packed by zlib and written in base 64, whose last channel is what the object covers."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(str(entry.get("data"))), LARGEST_BITMAP)
        with opened(io.BytesIO(data), f"the bitmap of {where}") as picture:
            pixels = np.array(picture)
    except BROKEN as error:
        raise DataError(f"can't read the bitmap of {where}", seen=error) from None
    part = (pixels if pixels.ndim == 2 else pixels[..., -1]) > 0
    at = entry.get("origin")
    left, top = (whole(each, f"the origin of {where}") for each in at) if isinstance(at, list) and len(at) == 2 else (-1, -1)
    (high, wide), (width, height) = part.shape, size
    if left < 0 or top < 0 or left + wide > width or top + high > height:
        seen = f"{wide} × {high} pixels at {shown(at)}"
        raise DataError(f"the bitmap of {where} doesn't fit into its image", seen=seen, allowed=f"{width} × {height} pixels")
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + high, left : left + wide] = part
    return mask
