"""COCO's JSON files, as many tools write them: one or more, whatever their names, with or without masks."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import SPLIT_NAMES, Folder, split_of
from transfer.arrange.glance import Glance, beginning
from transfer.arrange.items import Export, Item, Thing
from transfer.arrange.values import number, size_of, whole, word
from transfer.datasets import shown, stop
from transfer.datasets.cocofile import Dropped
from transfer.datasets.jsonlists import read_lists
from transfer.datasets.objects import image_size

HEAD = 2**20
"""Bytes in which a file of COCO's shows what it is."""
INSTANCES = "instances_"
OTHERS = ("captions_", "person_keypoints_", "stuff_", "panoptic_", "image_info_")
"""What COCO's files of other tasks begin with."""


class Source(NamedTuple):
    """A file to read."""

    path: str
    near: str
    """Folder that its images' names are looked for in first."""
    split: str | None


def looks_like_coco(glance: Glance, *patterns: str) -> bool:
    """Tell whether the first file of one of these patterns begins as COCO's do."""
    return any(_is_coco(glance.head(pattern, bytes_=HEAD)) for pattern in patterns)


def _is_coco(head: str) -> bool:
    if '"from_name"' in head:  # of Label Studio, whose tasks may hold any field
        return False
    return '"file_name"' in head or ('"image_id"' in head and '"category_id"' in head)


def sources_in(folder: Folder) -> list[Source]:
    """List the annotation files: those of instances where some are named so; those of splits where some are of one.

    Raises:
        DataError: If there is none.
    """
    files = [path for path in folder.ending(".json") if not path.rpartition("/")[2].startswith(OTHERS)]
    files = [path for path in files if path.rpartition("/")[2].startswith(INSTANCES)] or files
    files = [path for path in files if _is_coco(beginning(folder.path(path), HEAD))] or files
    sources = [_source(path) for path in files]
    sources = [source for source in sources if source.split] or sources
    if not sources:
        raise DataError(f"{folder.root} has no JSON file with COCO's lists", allowed="images, annotations and categories")
    return sources


def _source(path: str) -> Source:
    """The subset is the last word of the file's name, and images lie in a folder of that name."""
    above, _, name = path.rpartition("/")
    subset = name.removesuffix(".json").removeprefix(INSTANCES)
    words = [part for part in re.split(r"[_.\-\s]+", subset.lower()) if part in SPLIT_NAMES]
    split = SPLIT_NAMES[words[-1]] if words else split_of(path)
    return Source(path, above if above not in ("", "annotations") else subset, split)


class _File:
    """The lists of one file."""

    def __init__(self, path: Path, dropped: Dropped) -> None:
        self.path, self.dropped = path, dropped
        self.images: dict[int | str, tuple[str, tuple[int, int] | None]] = {}
        self.names: dict[int | str, str] = {}
        self.parents: dict[str, set[int | str]] = {}
        """Super category → ids of its categories."""
        self.found: dict[int | str, list[tuple[int | str, Thing]]] = {}
        self.masks = [0, 0]
        """Run-length encodings: those of single objects, those of crowd regions."""
        self.of_cvat = False
        """Whether an object has an attribute that CVAT gives to each."""

    def add_image(self, index: int, entry: Mapping[str, Any]) -> None:
        where = f"images[{index}] in {self.path}"
        size = size_of(entry.get("width"), entry.get("height"), where)
        self.images[_key(entry.get("id"), f"'id' of {where}")] = word(entry.get("file_name"), f"'file_name' of {where}"), size

    def add_category(self, index: int, entry: Mapping[str, Any]) -> None:
        where = f"categories[{index}] in {self.path}"
        identity = _key(entry.get("id"), f"'id' of {where}")
        self.names[identity] = word(entry.get("name"), f"'name' of {where}")
        if isinstance(parent := entry.get("supercategory"), str):
            self.parents.setdefault(parent.strip(), set()).add(identity)

    def add_annotation(self, index: int, entry: Mapping[str, Any]) -> None:
        where = f"annotations[{index}] in {self.path}"
        image, category = (_key(entry.get(name), f"{name!r} of {where}") for name in ("image_id", "category_id"))
        if entry.get("keypoints"):
            self.dropped.add("sets of keypoints", where)
        segmentation, box, collector = entry.get("segmentation"), None, Collector(where, self.dropped)
        if entry.get("bbox"):
            if not isinstance(entry["bbox"], list) or len(entry["bbox"]) != 4:
                raise DataError(
                    f"{where} has no valid 'bbox'", seen=shown(entry["bbox"]), allowed="[x, y, width, height] in pixels"
                )
            x, y, width, height = (number(value, f"'bbox' of {where}") for value in entry["bbox"])
            box = (x, y, x + width, y + height)
        attributes = entry.get("attributes")
        self.of_cvat |= isinstance(attributes, Mapping) and "occluded" in attributes
        if isinstance(attributes, Mapping) and attributes.get("rotation") and not segmentation:
            return collector.drop("rotated boxes")
        crowd = whole(entry.get("iscrowd") or 0, f"'iscrowd' of {where}") == 1
        if isinstance(segmentation, dict):
            self.masks[crowd] += 1
        area = entry.get("area")
        collector.shape("", segmentation, box, crowd=crowd, area=None if area is None else number(area, f"'area' of {where}"))
        self.found.setdefault(image, []).extend((category, thing) for thing in collector.things)
        return None

    def number_categories(self) -> None:
        """Put the id of a category in the place of its name, which some write in its stead."""
        numbers = {name: number for number, name in self.names.items()}
        for image, things in self.found.items():
            self.found[image] = [(key if key in self.names else numbers.get(str(key), key), thing) for key, thing in things]


def read_sources(folder: Folder, sources: Sequence[Source], *, masks_are_crowds: bool = False) -> Export:
    """Read files of COCO's as one export.

    Args:
        folder: The export.
        sources: Its files.
        masks_are_crowds: Whether the tool marks every mask as a crowd region: where a file's masks all are, they are objects.

    Raises:
        DataError: If a file can't be read; names the entry.
    """
    dropped, items, notes = Dropped(), list[Item](), list[str]()
    order: dict[str, bool] = {}
    for source in sources:
        file = _File(folder.path(source.path), dropped)
        takers = {"images": file.add_image, "annotations": file.add_annotation, "categories": file.add_category}
        read_lists(file.path, takers, stop)
        file.number_categories()
        single = (masks_are_crowds or file.of_cvat) and file.masks[1] > 0 and not file.masks[0]
        if single:
            notes.append(
                f"{file.masks[1]} masks of {source.path} are marked as crowd regions, as CVAT marks every mask; read as objects"
            )
        found = [_item(folder, source, file, identity, single) for identity in file.images]
        items += [item for item in found if item is not None]
        _check(file)
        used = {category for things in file.found.values() for category, _ in things}
        notes += _merged(source.path, [file.names[category] for category in used if category in file.names])
        for category, name in file.names.items():
            order[name] = order.get(name, False) or category in used or not file.parents.get(name, set()) - {category}
    unused = [name for name, wanted in order.items() if not wanted]
    if unused:
        notes.append(f"the super category {unused[0]!r} has no object of its own and is no class")
    extra = len(set(folder.images) - {item.image for item in items})
    if extra:
        notes.append(f"{extra} images that no annotation file names left out")
    return Export("objects", tuple(items), tuple(name for name, wanted in order.items() if wanted), dropped, tuple(notes))


def _item(folder: Folder, source: Source, file: _File, identity: int | str, single: bool) -> Item | None:
    name, size = file.images[identity]
    image = folder.image(name, source.near)
    if image is None:
        file.dropped.add("images that aren't there", f"{name} in {source.path}")
        return None
    width, height = size or image_size(folder.path(image))
    things = []
    for category, thing in file.found.get(identity, ()):
        if category not in file.names:
            raise DataError(
                f"an object of {name} in {file.path} has an unknown category", seen=category, allowed=shown(list(file.names))
            )
        if isinstance(thing.mask, dict) and thing.mask["size"] != [height, width]:
            raise DataError(
                f"a mask of {name} in {file.path} has another size", seen=thing.mask["size"], allowed=[height, width]
            )
        crowd = thing.crowd and not (single and isinstance(thing.mask, dict))
        things.append(Thing(file.names[category], thing.box, thing.mask, crowd, area=thing.area))
    return Item(image, (width, height), source.split, tuple(things))


def _merged(path: str, names: Sequence[str]) -> list[str]:
    """Say which categories with objects become one class, for they have one name."""
    counts = sorted(Counter(names).items())
    return [f"{count} categories of {path} are called {name!r} and become one class" for name, count in counts if count > 1]


def _check(file: _File) -> None:
    lost = next((identity for identity in file.found if identity not in file.images), None)
    if lost is not None:
        raise DataError(f"annotations in {file.path} are of an image that it doesn't list", seen=f"image_id {lost}")


def _key(value: Any, where: str) -> int | str:
    """An id: a whole number, also as text or with a decimal point; or another text."""
    if isinstance(value, str) and not value.strip().lstrip("-").isdecimal():
        return word(value, where)
    try:
        found = int(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):  # more digits than Python reads, an infinity
        found = None
    if found is not None and abs(found) < 2**63 and (isinstance(value, str) or found == value):
        return found
    raise DataError(f"{where} is no id", seen=shown(value), allowed="a whole number")
