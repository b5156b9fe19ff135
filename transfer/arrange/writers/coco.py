"""The COCO layout: `annotations/instances_SPLIT2017.json` and `SPLIT2017/`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transfer.arrange.collect import area_of
from transfer.arrange.folder import TRAIN, VAL
from transfer.arrange.items import Export, Item, Thing
from transfer.arrange.naming import file_names
from transfer.arrange.placing import Place

HOLDS = ("objects",)
YEAR = "2017"


def write(export: Export, root: Path, target: Path, place: Place) -> list[str]:
    """Write both splits; the ids of categories count from 1 in the order of the classes."""
    names = file_names(item.image for item in export.items)
    categories = {name: number for number, name in enumerate(export.classes, start=1)}
    (target / "annotations").mkdir(parents=True)
    for split in (TRAIN, VAL):
        items = [item for item in export.items if item.split == split]
        files = [f"{names[item.image]}{Path(item.image).suffix}" for item in items]
        for item, name in zip(items, files, strict=True):
            place(root / item.image, target / f"{split}{YEAR}" / name)
        _file(target / "annotations" / f"instances_{split}{YEAR}.json", items, files, categories)
    difficult = sum(thing.difficult for item in export.items for thing in item.things)
    alone = sum(thing.mask is None for item in export.items for thing in item.things)
    notes = [f"{difficult} objects marked as difficult are plain objects: COCO has no such mark"] if difficult else []
    return notes + ([f"{alone} objects have a box and no mask"] if alone else [])


def _file(path: Path, items: Sequence[Item], files: Sequence[str], categories: Mapping[str, int]) -> None:
    """Write a file entry by entry: a large data set's annotations fill gigabytes as text."""
    lists: dict[str, Iterator[dict[str, Any]]] = {
        "images": (_image(number, item, name) for number, (item, name) in enumerate(zip(items, files, strict=True), start=1)),
        "annotations": _annotations(items, categories),
        "categories": iter([{"id": number, "name": name} for name, number in categories.items()]),
    }
    with path.open("w", encoding="utf-8") as file:
        for begun, (name, entries) in zip("{,,", lists.items(), strict=True):
            file.write(f'{begun}\n"{name}": [')
            for number, entry in enumerate(entries):
                file.write(("," if number else "") + "\n" + json.dumps(entry, separators=(",", ":")))
            file.write("]")
        file.write("}\n")


def _image(number: int, item: Item, name: str) -> dict[str, Any]:
    assert item.size is not None, "objects come with their image's size"
    return {"id": number, "file_name": name, "width": item.size[0], "height": item.size[1]}


def _annotations(items: Sequence[Item], categories: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    pairs = ((number, item, thing) for number, item in enumerate(items, start=1) for thing in item.things)
    for identity, (number, item, thing) in enumerate(pairs, start=1):
        yield {"id": identity, "image_id": number, "category_id": categories[thing.name], **_object(item, thing)}


def _object(item: Item, thing: Thing) -> dict[str, Any]:
    assert item.size is not None, "objects come with their image's size"
    left, top, right, bottom = thing.box
    found = {"bbox": [left, top, right - left, bottom - top], "area": area_of(thing, *item.size), "iscrowd": int(thing.crowd)}
    if isinstance(thing.mask, tuple):
        return found | {"segmentation": [polygon.tolist() for polygon in thing.mask]}
    if thing.mask is None:
        return found
    counts = thing.mask["counts"]
    return found | {"segmentation": thing.mask | {"counts": counts if isinstance(counts, str) else counts.decode()}}
