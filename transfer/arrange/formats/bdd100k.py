"""BDD100K and Scalabel: JSON lists of images with `labels`, each with `category` and `box2d` or `poly2d`.

The corner (x2, y2) of a `box2d` is a pixel of the object, so that its width is x2 − x1 + 1, as in Scalabel's own conversion to
COCO (`box2d_to_bbox`), by which BDD100K is evaluated.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export
from transfer.arrange.joining import Said, joined
from transfer.arrange.naming import Named
from transfer.arrange.values import any_json_of, entries, mapping, number, word
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped

PATTERNS = ("*.json", "*/*.json", "*/*/*.json", "*/*/*/*.json")
CORNERS = ("x1", "y1", "x2", "y2")
LINES = "L"
"""Of a polygon's points: ends of straight lines. Others are handles of curves."""


def recognise(glance: Glance) -> bool:
    """Tell whether a JSON file has the fields of an object."""
    return any(
        '"category"' in head and ('"box2d"' in head or '"poly2d"' in head) for _, head in glance.heads(*PATTERNS, whole=False)
    )


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every image: those with a box, where any has one; otherwise those with closed outlines.

    Raises:
        DataError: If a file can't be read, or an object has no numbers or category.
    """
    folder, dropped = Folder(root), Dropped()
    frames = [(path, *frame) for path in folder.ending(".json") for frame in _frames(folder, path, dropped)]
    boxed = any(isinstance(label.get("box2d"), dict) for _, _, labels in frames for label in labels)
    said = list[Said]()
    for path, name, labels in frames:
        image = folder.image(name, path.rpartition("/")[0])
        if image is None:
            dropped.add("images that aren't there", f"{name} in {path}")
            continue
        collector = Collector(f"{name} in {path}", dropped)
        for at, label in enumerate(labels):
            _add(label, f"label {at} of {name} in {folder.path(path)}", collector, boxed=boxed)
        said.append(Said(path, image, collector.things))
    return joined(folder, said, dropped)


def _frames(folder: Folder, path: str, dropped: Dropped) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the name and the labels of each image of a file: a list, `frames` of an object, or one image by itself."""
    where = folder.path(path)
    content = any_json_of(where)
    if isinstance(content, dict):
        one = content.get("frames")
        alone = isinstance(one, list) and isinstance(content.get("name"), str)
        content = [{**mapping(each, str(where)), "name": content["name"]} for each in one or ()] if alone else one
    if not isinstance(content, list):
        dropped.add("JSON files of another kind", path)
        return
    for number_, frame in enumerate(entries(content, str(where))):
        labels = entries(frame.get("labels", frame.get("objects")), f"'labels' of image {number_} of {where}")
        yield word(frame.get("name"), f"the name of image {number_} of {where}"), labels


def _add(label: dict[str, Any], where: str, collector: Collector, *, boxed: bool) -> None:
    name, box = word(label.get("category"), f"the category of {where}"), label.get("box2d")
    said = label.get("attributes")
    crowd = bool(said.get("crowd", False)) if isinstance(said, dict) else False
    if isinstance(box, dict):
        left, top, right, bottom = (number(box.get(each), f"{each!r} of {where}") for each in CORNERS)
        collector.box(name, (left, top, right + 1, bottom + 1), crowd=crowd)
    elif boxed:
        collector.drop(f"lanes and areas, without a box ({shown(name)})")
    else:
        _outline(label, name, where, collector, crowd=crowd)


def _outline(label: dict[str, Any], name: str, where: str, collector: Collector, *, crowd: bool) -> None:
    polygons = entries(label.get("poly2d"), f"'poly2d' of {where}")
    closed = [each for each in polygons if each.get("closed", True) and set(str(each.get("types", ""))) <= {LINES}]
    if not closed or len(closed) < len(polygons):
        collector.drop("open or curved outlines" if polygons else "objects without a box or an outline")
        return
    every = []
    for polygon in closed:
        vertices = polygon.get("vertices")
        if not isinstance(vertices, list) or not all(isinstance(each, list) and len(each) == 2 for each in vertices):
            raise DataError(f"'vertices' of {where} are no points", seen=shown(vertices), allowed="[[x, y], …]")
        every.append([number(value, f"a point of {where}") for point in vertices for value in point])
    collector.shape(name, every, crowd=crowd)
