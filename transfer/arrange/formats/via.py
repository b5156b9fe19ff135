"""VGG Image Annotator: a project's or an export's JSON, or its CSV; rectangles and polygons with attributes."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Thing
from transfer.arrange.joining import Said, joined
from transfer.arrange.naming import Named
from transfer.arrange.tables import LABELS, image_of, plain, unlike
from transfer.arrange.values import entries, json_of, mapping, number, rows_of
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped

PATTERNS = ("*.json", "*/*.json", "*.csv", "*/*.csv")
IMAGES = "_via_img_metadata"
"""A project's entry of the images; an export is that entry alone."""
ROW = ("filename", "region_shape_attributes", "region_attributes")
NAMES = (*LABELS, "name", "type", "object", "objects")
"""Attributes that say an object's class, the first that is there; otherwise the only one."""
ONE_CLASS = "object"


class Region(NamedTuple):
    """An object as VIA has it."""

    shape: dict[str, Any]
    attributes: dict[str, Any]
    where: str


def recognise(glance: Glance) -> bool:
    """Tell whether a file has VIA's fields."""
    return any("shape_attributes" in head and "region" in head for _, head in glance.heads(*PATTERNS, whole=False))


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every image. Without attributes all are of one class, which `given` names.

    Raises:
        DataError: If a file can't be read, an image or attribute is ambiguous, or a shape has no numbers.
    """
    folder, dropped = Folder(root), Dropped()
    found = list[tuple[str, str, list[Region]]]()
    for path in (path for ending in (".json", ".csv") for path in folder.ending(ending)):
        for name, regions in _images(folder, path, dropped):
            image = image_of(folder, path, name)
            if image is None:
                dropped.add("images that aren't there", f"{name} in {path}")
            else:
                found.append((path, image, regions))
    attribute = _attribute([region for _, _, regions in found for region in regions])
    only = given.names[0] if given is not None and len(given.names) == 1 else ONE_CLASS
    said = [Said(path, image, _things(image, regions, attribute, only, dropped)) for path, image, regions in found]
    return joined(folder, said, dropped)


def _images(folder: Folder, path: str, dropped: Dropped) -> Iterator[tuple[str, list[Region]]]:
    """Yield what a file says of each image: its name and its objects."""
    where = folder.path(path)
    if path.endswith(".csv"):
        yield from _rows(rows_of(where), str(where), path, dropped)
        return
    content = json_of(where)
    content = mapping(content.get(IMAGES, content), str(where))
    if not all(isinstance(each, dict) and "regions" in each and "filename" in each for each in content.values()):
        dropped.add("JSON files of another kind", path)
        return
    for key, each in content.items():
        regions = each["regions"]
        listed = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1 numbers them
        name = f"{shown(key)} of {where}"
        yield str(each["filename"]), [_region(entry, f"region {n} of {name}") for n, entry in enumerate(entries(listed, name))]


def _region(entry: dict[str, Any], where: str) -> Region:
    shape = mapping(entry.get("shape_attributes"), f"'shape_attributes' of {where}")
    return Region(shape, mapping(entry.get("region_attributes") or {}, f"'region_attributes' of {where}"), where)


def _rows(rows: Sequence[Sequence[str]], where: str, path: str, dropped: Dropped) -> Iterator[tuple[str, list[Region]]]:
    heading = [cell.lstrip("#").strip() for cell in rows[0]] if rows else []
    if not set(ROW) <= set(heading):
        dropped.add("tables of another kind", path)
        return
    name, shape, attributes = (heading.index(each) for each in ROW)
    for number_, row in enumerate(rows[1:], start=2):
        at = f"row {number_} of {where}"
        if len(row) != len(heading):
            raise unlike(row, heading, at)
        cells = [_cell(row[column], at) for column in (shape, attributes)]
        yield row[name], [Region(cells[0], cells[1], at)] if cells[0] else []


def _cell(text: str, where: str) -> dict[str, Any]:
    try:
        return mapping(json.loads(text or "{}"), where)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} has a cell that is no JSON", seen=shown(text), allowed=str(error)[:80]) from None


def _attribute(regions: Sequence[Region]) -> str | None:
    """Find the attribute that says the class; None where no object has one.

    Raises:
        DataError: If there are several, and none is called as one of classes, or more than one in different spellings.
    """
    counts = Counter(name for region in regions for name, value in region.attributes.items() if value not in ("", None, {}))
    spelt: dict[str, list[str]] = {}
    for name, written in zip(plain(list(counts)), counts, strict=True):
        spelt.setdefault(name, []).append(written)
    named = next((spelt[name] for name in NAMES if name in spelt), None)
    if named is not None and len(named) > 1:
        raise DataError(
            "VIA's objects have several attributes that are called as one of classes, but for capitals and blanks",
            seen=", ".join(map(repr, named)),
            allowed="one of them",
            fix="give the classes to one of these attributes, and remove the others",
        )
    if named is None and len(counts) > 1:
        raise DataError(
            "VIA's objects have several attributes, and none is called as one of classes",
            seen=", ".join(counts),
            allowed="one attribute, or one called class, label, category, name or type",
            fix="rename the attribute that says the class",
        )
    return next(iter(named or counts), None)


def _things(image: str, regions: list[Region], attribute: str | None, only: str, dropped: Dropped) -> list[Thing]:
    collector = Collector(image, dropped)
    for region in regions:
        name = only if attribute is None else _class(region.attributes.get(attribute))
        if name is None:
            collector.drop("objects of several classes, or of none")
        else:
            _add(region, name, collector)
    return collector.things


def _class(value: Any) -> str | None:
    """Return the class that an attribute says: text, or the one that is ticked; None where that isn't one."""
    ticked = [str(name) for name, said in value.items() if said] if isinstance(value, dict) else [str(value or "")]
    return ticked[0].strip() or None if len(ticked) == 1 else None


def _add(region: Region, name: str, collector: Collector) -> None:
    shape, kind = region.shape, region.shape.get("name")
    if kind == "rect":
        left, top, width, height = (
            number(shape.get(each), f"{each!r} of {region.where}") for each in ("x", "y", "width", "height")
        )
        collector.box(name, (left, top, left + width, top + height))
    elif kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise DataError(f"{region.where} is no polygon", seen=shown(shape), allowed="as many x as y")
        polygon = [number(value, f"a point of {region.where}") for point in zip(xs, ys, strict=True) for value in point]
        collector.shape(name, [polygon])
    else:
        collector.drop(f"shapes of the kind {shown(kind)}")
