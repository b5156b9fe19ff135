"""Label Studio's own JSON and its JSON-MIN: tasks with `annotations`, or one entry for each annotation.

Boxes and outlines are in percent of the image's width and height; a box is its upper left corner and its size.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pretrain.core.errors import DataError
from transfer.arrange.answers import Answer, agreed
from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder, path_in
from transfer.arrange.glance import Glance
from transfer.arrange.items import Box, Export
from transfer.arrange.labelstudio import CHOICES, Annotation, Result, annotations_in, image_name
from transfer.arrange.naming import Named
from transfer.arrange.values import number, points, size_of, word
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size
from transfer.datasets.remarks import Remarks

PATTERNS = ("*.json", "*/*.json")
FIELDS = (('"from_name"', '"to_name"'), ('"was_cancelled"', '"annotations"'), ('"annotation_id"', '"lead_time"'))
"""What the beginning of a file has of either form; JSON-MIN of old has none of them, but labels."""
LABELS = ('"rectanglelabels"', '"polygonlabels"', '"brushlabels"')
UPLOADED = re.compile("^[0-9a-f]{8}-")
"""What the server puts before the name of a file that is uploaded."""
LOST = re.compile(r"[^-\w.]")
"""What it leaves out of that name, as Django does (`get_valid_filename`)."""
SIDES = ("x", "y", "width", "height")
REACH = (-100, 200)
"""Percent of the image between which a shape lies: some reach out."""


def recognise(glance: Glance) -> bool:
    """Tell whether a JSON file has the fields of an annotation, or the labels of one."""
    heads = (head for _, head in glance.heads(*PATTERNS, whole=False))
    return any(any(all(map(head.__contains__, each)) for each in (*FIELDS, *zip(LABELS))) for head in heads)


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of every image, or the choices where nobody drew any.

    Raises:
        DataError: If a file can't be read, a shape has no numbers, or an image's file can't be the annotated one.
    """
    folder, dropped, remarks = Folder(root), Dropped(), Remarks()
    export = agreed(folder, _answers(folder, dropped, remarks), dropped)
    return Export(export.holds, export.items, export.classes, dropped, (*export.notes, *remarks.notes()))


def _answers(folder: Folder, dropped: Dropped, remarks: Remarks) -> Iterator[Answer]:
    images = _Images(folder, remarks)
    for path in folder.ending(".json"):
        for annotation in annotations_in(folder.path(path), path, dropped):
            name = image_name(annotation)
            image = None if name is None else images.find(name, path)
            if name is None:
                dropped.add("tasks without an image", annotation.where)
            elif image is None:
                dropped.add("images that aren't there", f"{name} in {path}")
            else:
                yield _answer(annotation, path, image, image_size(folder.path(image)), remarks)


class _Images:
    """Finds the images of addresses, also those that had another name before they were uploaded."""

    def __init__(self, folder: Folder, remarks: Remarks) -> None:
        self._folder, self._remarks = folder, remarks

    def find(self, name: str, path: str) -> str | None:
        """Find an image; None if there is none.

        Raises:
            DataError: If several could be it.
        """
        near = path.rpartition("/")[0]
        image = self._folder.image(name, near)
        base = path_in(name).replace("\\", "/").rpartition("/")[2]
        before = UPLOADED.sub("", base)
        if image is not None or before == base:
            return image
        image = self._folder.image(before, near) or self._uploaded(unquote(before))
        if image is not None:
            self._remarks.add("images found by the names that they had before they were uploaded", f"{image} for {name}")
        return image

    def _uploaded(self, name: str) -> str | None:
        found = self._as_uploaded.get(name, [])
        if len(found) > 1:
            seen, fix = ", ".join(found[:3]), "leave one of them in the export"
            raise DataError(f"several images could have been uploaded as {name!r}", seen=seen, fix=fix)
        return found[0] if found else None

    @cached_property
    def _as_uploaded(self) -> dict[str, list[str]]:
        """Name that the server gives to a file → images that get it: blanks are `_`, and most other marks are gone."""
        found: dict[str, list[str]] = {}
        for path in self._folder.images:
            found.setdefault(LOST.sub("", path.rpartition("/")[2].strip().replace(" ", "_")), []).append(path)
        return found


def _answer(annotation: Annotation, path: str, image: str, size: tuple[int, int], remarks: Remarks) -> Answer:
    dropped = Dropped()
    if annotation.left_out is not None:
        dropped.add(annotation.left_out, annotation.where)
        return Answer(path, image, (), {}, dropped, given=False)
    collector, choices = Collector(f"{image} in {path}", dropped), dict[str, tuple[str, ...]]()
    classes = {_outline(each) for each in annotation.results if each.kind.endswith("labels")}
    scaled = False
    for result in annotation.results:
        scaled |= _is_scaled(result, size)
        if result.kind == CHOICES and not _is_drawn(result):
            choices[result.question] = (*choices.get(result.question, ()), *_names(result))
        elif result.kind in ("rectangle", "polygon") and _outline(result) in classes:
            continue  # the same shape again, without its label
        else:
            _add(result, collector, size)
    if scaled:
        remarks.add("images of another size than annotated, in the same proportions", image)
    return Answer(path, image, collector.things, choices, dropped, annotation.ground_truth)


def _is_drawn(result: Result) -> bool:
    return any(name in result.value for name in ("x", "points", "rle"))


def _outline(result: Result) -> str:
    return repr([result.value.get(name) for name in (*SIDES, "points", "rotation")])


def _is_scaled(result: Result, size: tuple[int, int]) -> bool:
    """Tell whether an image was annotated in another size.

    Raises:
        DataError: If it was in other proportions: then it is another image, or a part of it.
    """
    said = size_of(*result.size, result.where)
    if said is None or said == size:
        return False
    if abs(said[0] * size[1] - said[1] * size[0]) > sum(said) + sum(size):  # more than rounding explains
        seen, allowed = f"{size[0]} × {size[1]}", f"{said[0]} × {said[1]}, as annotated, or these proportions"
        raise DataError(f"the image of {result.where} has other proportions than annotated", seen=seen, allowed=allowed)
    return True


def _names(result: Result) -> list[str]:
    found = result.value.get(result.kind)
    if not isinstance(found, list | None):
        raise DataError(f"{result.kind!r} of {result.where} is not a list", seen=shown(found), allowed="a list of names")
    return [word(name, f"{result.kind!r} of {result.where}") for name in found or ()]


def _add(result: Result, collector: Collector, size: tuple[int, int]) -> None:
    """Add a shape, or count it."""
    value, kind, where = result.value, result.kind, result.where
    box, polygon = kind in ("rectanglelabels", "labels") and {"width", "height"} <= value.keys(), "points" in value
    if kind == CHOICES:
        collector.drop("choices of single objects")
    elif kind in ("rectangle", "polygon"):
        collector.drop("shapes without a class")
    elif kind in ("brushlabels", "brush"):
        collector.drop("masks of the brush, which Label Studio packs in a way of its own")
    elif not box and not (polygon and kind in ("polygonlabels", "labels")):
        collector.drop(f"results of the kind {shown(kind)}")
    elif result.turned:
        collector.drop("objects on images that were turned while they were annotated")
    elif box and number(value.get("rotation") or 0, f"'rotation' of {where}") % 360:
        collector.drop("rotated boxes")
    elif value.get("closed") is False:
        collector.drop("open outlines")
    elif len(names := _names(result)) != 1:
        collector.drop("objects of several classes, or of none")
    elif box:
        collector.box(names[0], _box(value, size, where))
    else:
        shares = [share for point in points(value["points"], f"'points' of {where}") for share in point]
        collector.shape(names[0], [_pixels(shares, size, where)])


def _box(value: Mapping[str, Any], size: tuple[int, int], where: str) -> Box:
    x, y, wide, high = _pixels([number(value.get(name), f"{name!r} of {where}") for name in SIDES], size, where)
    return x, y, x + wide, y + high


def _pixels(shares: Sequence[float], size: tuple[int, int], where: str) -> list[float]:
    """Turn shares of the width and of the height by turns, in percent, into pixels."""
    if not all(REACH[0] <= share <= REACH[1] for share in shares):
        raise DataError(
            f"a shape of {where} isn't in percent of the image", seen=shown(shares), allowed="numbers from 0 to 100"
        )
    return [share * size[at % 2] / 100 for at, share in enumerate(shares)]
