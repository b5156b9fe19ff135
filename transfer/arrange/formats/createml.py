"""Create ML, also Roboflow's export: JSON lists of images with `annotations`, each with `label` and `coordinates`.

`x` and `y` are the centre of a box in pixels from the upper left corner of the image, which is what Create ML reads unless a
program tells it otherwise.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export
from transfer.arrange.joining import Said, joined
from transfer.arrange.naming import Named
from transfer.arrange.values import any_json_of, entries, mapping, number, word
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size
from transfer.datasets.readings import Reading

NAME = "_annotations.createml.json"
PATTERNS = ("*.json", "*/*.json")
IMAGES = ("image", "imagefilename")
ANNOTATIONS = ("annotations", "annotation")
"""Fields of an image, as Roboflow's and most tools write them, and as Apple's manual does."""
COORDINATES = re.compile(r'"coordinates"\s*:\s*\{')
SIDES = ("x", "y", "width", "height")


def recognise(glance: Glance) -> bool:
    """Tell whether a file is called as Roboflow's are, or has the fields of Create ML."""
    heads = (head for _, head in glance.heads(*PATTERNS, whole=False))
    return glance.has(NAME, f"*/{NAME}") or any('"label"' in head and COORDINATES.search(head) for head in heads)


def read(root: Path, given: Named | None) -> Export:
    """Read the boxes of every image; an image without any is background.

    Raises:
        DataError: If a file can't be read, an object has no numbers or label, or the boxes can't be centres and sizes.
    """
    folder, dropped, said, boxes = Folder(root), Dropped(), list[Said](), Reading("centre")
    for path in folder.ending(".json"):
        for name, objects, where in _images(folder, path, dropped):
            image = folder.image(name, path.rpartition("/")[0])
            if image is None:
                dropped.add("images that aren't there", f"{name} in {path}")
                continue
            collector, size = Collector(f"{name} in {path}", dropped), image_size(folder.path(image))
            for at, entry in enumerate(objects):
                _add(entry, f"annotation {at} of {where}", collector, boxes, size)
            said.append(Said(path, image, collector.things))
    boxes.check(root)
    return joined(folder, said, dropped)


def _images(folder: Folder, path: str, dropped: Dropped) -> Iterator[tuple[str, list[dict[str, Any]], str]]:
    """Yield the name of each image of a file, its objects, and what names it in messages."""
    content = any_json_of(folder.path(path))
    listed = content if isinstance(content, list) else []
    if not any(isinstance(each, dict) and set(IMAGES) & set(each) and set(ANNOTATIONS) & set(each) for each in listed):
        dropped.add("JSON files of another kind", path)
        return
    for at, entry in enumerate(entries(listed, str(folder.path(path)))):
        where = f"image {at} of {folder.path(path)}"
        name, objects = (next((entry[key] for key in keys if key in entry), None) for keys in (IMAGES, ANNOTATIONS))
        yield word(name, f"the name of {where}"), entries(objects, f"the annotations of {where}"), where


def _add(entry: dict[str, Any], where: str, collector: Collector, boxes: Reading, size: tuple[int, int]) -> None:
    name, given = (
        word(entry.get("label"), f"'label' of {where}"),
        mapping(entry.get("coordinates"), f"'coordinates' of {where}"),
    )
    x, y, wide, high = (number(given.get(side), f"{side!r} of {where}") for side in SIDES)
    collector.box(name, boxes.corners((x, y, wide, high), size))
