"""LabelMe: one JSON beside each image, with polygons and rectangles."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretrain.core.errors import DataError
from pretrain.images.decode import BROKEN, opened
from transfer.arrange.collect import Collector, gathered
from transfer.arrange.folder import Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import corners, entries, json_of, points, size_of, whole, word
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size

PATTERNS = ("*.json", "*/*.json", "*/*/*.json")


def recognise(glance: Glance) -> bool:
    """Tell whether a JSON file has LabelMe's fields; `imageData` may push the path behind what is looked at."""
    heads = (glance.head(pattern) for pattern in PATTERNS)
    return any('"shapes"' in head and ('"shape_type"' in head or '"imagePath"' in head or '"flags"' in head) for head in heads)


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every image that has a file; shapes of one label and one group are one object.

    Raises:
        DataError: If a file can't be read; names the shape.
    """
    folder, dropped = Folder(root), Dropped()
    return gathered(folder, ".json", lambda path: _item(folder, path, dropped), dropped)


def _item(folder: Folder, path: str, dropped: Dropped) -> Item | None:
    found = json_of(folder.path(path))
    if "shapes" not in found:
        dropped.add("JSON files without shapes", path)
        return None
    above, _, name = path.rpartition("/")
    written = found.get("imagePath")
    image = (folder.image(written, above) if isinstance(written, str) and written else None) or folder.image(
        name.removesuffix(".json"), above
    )
    if image is None:
        embedded = " but in their JSON, as imageData" if found.get("imageData") else ""
        dropped.add(f"images that aren't there{embedded}", path)
        return None
    size = size_of(found.get("imageWidth"), found.get("imageHeight"), path) or image_size(folder.path(image))
    collector, groups = Collector(path, dropped), dict[tuple[str, int], list[list[float]]]()
    for number, entry in enumerate(entries(found["shapes"], f"'shapes' of {folder.path(path)}")):
        _add(entry, collector, groups, f"shape {number + 1} of {folder.path(path)}", size)
    for (label, _), polygons in groups.items():
        collector.shape(label, polygons)
    return Item(image, size, split_of(image), tuple(collector.things))


def _add(
    entry: dict[str, Any],
    collector: Collector,
    groups: dict[tuple[str, int], list[list[float]]],
    where: str,
    size: tuple[int, int],
) -> None:
    name, kind = word(entry.get("label"), f"the label of {where}"), entry.get("shape_type") or "polygon"
    if kind not in ("polygon", "rectangle", "mask"):
        collector.drop("rotated boxes" if kind == "rotation" else f"shapes of the kind {shown(kind)}")
        return
    found = points(entry.get("points"), f"'points' of {where}")
    group = entry.get("group_id")
    if kind == "polygon" and group is not None:
        polygon = [value for point in found for value in point]
        groups.setdefault((name, whole(group, f"the group of {where}")), []).append(polygon)
    elif kind == "polygon":
        collector.shape(name, [[value for point in found for value in point]])
    elif len(found) < 2:
        raise DataError(f"{where} is no {kind}", seen=f"{len(found)} points", allowed="two opposite corners")
    elif kind == "rectangle":
        collector.box(name, corners(found))
    else:
        collector.pixels(name, _mask(entry.get("mask"), found[0], where, size))


def _mask(data: Any, corner: tuple[float, float], where: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Unpack a mask: a picture in base 64 of the box whose upper left corner is given."""
    try:
        with opened(io.BytesIO(base64.b64decode(str(data))), f"the mask of {where}") as picture:
            part = np.array(picture.convert("L")) > 0
    except BROKEN as error:
        raise DataError(f"can't read the mask of {where}", seen=error) from None
    (width, height), (left, top), (high, wide) = size, (int(corner[0]), int(corner[1])), part.shape
    if left < 0 or top < 0 or left + wide > width or top + high > height:
        seen = f"{wide} × {high} pixels at ({left}, {top})"
        raise DataError(f"the mask of {where} doesn't fit into its image", seen=seen, allowed=f"{width} × {height} pixels")
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + high, left : left + wide] = part
    return mask
