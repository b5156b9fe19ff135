"""Datumaro's own JSON, also CVAT's export of that name: `annotations/SUBSET.json` with `items`, images below `images/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import SPLIT_NAMES, Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import entries, json_of, mapping, number, size_of, whole, word
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size

PATTERNS = ("annotations/*.json", "*.json")


def recognise(glance: Glance) -> bool:
    """Tell whether a JSON file begins with Datumaro's categories, which are an object with `label`, or has its items."""
    heads = (head for _, head in glance.heads(*PATTERNS, whole=False))
    return any('"labels"' in head and ('"items"' in head or '"categories"' in head) and '"label"' in head for head in heads)


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every item, or the classes where items have labels alone; the files' names say the split.

    Raises:
        DataError: If a file can't be read; names the annotation.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    classes: dict[str, None] = {}
    for path in folder.ending(".json"):
        found = json_of(folder.path(path))
        if not isinstance(found.get("items"), list):
            dropped.add("JSON files of another kind", path)
            continue
        names = _names(found, str(folder.path(path)))
        classes |= dict.fromkeys(names)
        every = entries(found["items"], f"'items' of {folder.path(path)}")
        items += [item for each in every if (item := _item(folder, path, each, names, dropped)) is not None]
    labels = sorted({item.label for item in items if item.label is not None})
    if labels and not any(item.things for item in items):
        for item in items:
            if item.label is None:
                dropped.add("images without a label", item.image)
        return Export("classes", tuple(item for item in items if item.label is not None), tuple(labels), dropped)
    notes = (f"labels of {sum(item.label is not None for item in items)} images left out: objects are read",) if labels else ()
    plain = tuple(Item(each.image, each.size, each.split, each.things) for each in items)
    return Export("objects", plain, tuple(classes), dropped, notes)


def _names(found: Mapping[str, Any], where: str) -> list[str]:
    categories = mapping(found.get("categories"), f"'categories' of {where}")
    labels = mapping(categories.get("label"), f"'label' in the categories of {where}").get("labels")
    return [word(each.get("name"), f"the name of a label of {where}") for each in entries(labels, f"'labels' of {where}")]


def _item(folder: Folder, path: str, entry: Mapping[str, Any], names: list[str], dropped: Dropped) -> Item | None:
    identity = word(entry.get("id"), f"the 'id' of an item of {folder.path(path)}")
    where, subset = f"item {identity!r} of {folder.path(path)}", path.rpartition("/")[2].removesuffix(".json")
    said = mapping(entry.get("image") or {}, f"'image' of {where}")
    image = folder.image(str(said.get("path") or identity), f"images/{subset}")
    if image is None:
        dropped.add("images that aren't there", f"{identity} in {path}")
        return None
    sides = said.get("size")
    high, wide = sides if isinstance(sides, list) and len(sides) == 2 else (None, None)
    size = size_of(wide, high, where) or image_size(folder.path(image))
    collector, labels = Collector(f"{identity} in {path}", dropped), list[str]()
    for each in entries(entry.get("annotations"), f"'annotations' of {where}"):
        _add(each, f"annotation {shown(each.get('id'))} of {where}", names, collector, labels)
    for _ in labels[1:]:
        collector.drop("further labels of an image")
    return Item(image, size, SPLIT_NAMES.get(subset.lower()), tuple(collector.things), label=labels[0] if labels else None)


def _add(entry: Mapping[str, Any], where: str, names: list[str], collector: Collector, labels: list[str]) -> None:
    kind = entry.get("type")
    if kind not in ("bbox", "polygon", "mask", "label"):
        return collector.drop(f"annotations of the kind {shown(kind)}")
    at = whole(entry.get("label_id"), f"'label_id' of {where}")
    if not 0 <= at < len(names):
        raise DataError(f"{where} has a label without a name", seen=at, allowed=f"0 to {len(names) - 1}")
    if kind == "label":
        labels.append(names[at])
    elif kind == "mask":
        collector.shape(names[at], mapping(entry.get("rle"), f"'rle' of {where}"))
    else:
        values = entry.get("bbox" if kind == "bbox" else "points")
        if not isinstance(values, list) or (kind == "bbox" and len(values) != 4):
            raise DataError(
                f"{where} has no valid {kind}", seen=shown(values), allowed="[x, y, width, height], or [x, y, x, y, …]"
            )
        plain = [number(value, f"a number of {where}") for value in values]
        if kind == "polygon":
            collector.shape(names[at], [plain])
        elif mapping(entry.get("attributes") or {}, f"'attributes' of {where}").get("rotation"):
            collector.drop("rotated boxes")
        else:
            collector.box(names[at], (plain[0], plain[1], plain[0] + plain[2], plain[1] + plain[3]))
    return None
