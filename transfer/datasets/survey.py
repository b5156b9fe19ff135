"""Count what is in a data set, by classes, and note what to know of it before a run takes days. Nothing here stops a run.

A survey takes what a layout's `read` returned; it tells the three kinds of data apart, not their layouts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pretrain.core.counts import counted
from pretrain.images.imageset import ImageSet
from pretrain.images.stores import UNLABELLED
from transfer.datasets.imagefolder import ClassificationData
from transfer.datasets.objects import DetectionData, Picture
from transfer.datasets.segmentation import SegmentationData
from transfer.datasets.truths import few

Content = ClassificationData | DetectionData | SegmentationData
SPLITS = ("train", "val")


class Row(NamedTuple):
    """A line of counts; a float is a share in percent."""

    name: str
    """What is counted."""
    train: int | float
    """In the training split."""
    val: int | float
    """In the validation split."""


@dataclass(frozen=True)
class Survey:
    """What is in a data set."""

    counts: tuple[Row, ...]
    """Counts of the whole data set."""
    classes: tuple[Row, ...]
    """Counts of each class, in the order of the labels."""
    unit: str
    """What the classes' rows count."""
    notes: tuple[str, ...]
    """Remarks on what changes the training or the metric without stopping a run."""


def survey(data: Content) -> Survey:
    """Count what is in a data set."""
    if isinstance(data, DetectionData):
        return _detection(data)
    if isinstance(data, SegmentationData):
        return _segmentation(data)
    return _classification(data)


def _detection(data: DetectionData) -> Survey:
    splits = (data.train, data.val)
    objects = [np.concatenate([each.labels for each in split] or [np.zeros(0, np.int64)]) for split in splits]
    per_class = [np.bincount(labels, minlength=len(data.classes)) for labels in objects]
    counts: tuple[Row, ...] = (Row("images", *map(len, splits)), Row("objects", *map(len, objects)))
    crowds = [sum(int(each.crowd.sum()) for each in split) for split in splits]
    difficult = [sum(int(each.difficult.sum()) for each in split) for split in splits]
    counts += tuple(Row(what, *found) for what, found in (("crowd", crowds), ("difficult", difficult)) if any(found))
    classes = tuple(Row(name, *found) for name, *found in zip(data.classes, *map(np.ndarray.tolist, per_class), strict=True))
    notes = [
        *data.notes,
        *_outside((*data.train, *data.val)),
        *_absent(data.classes, [per.tolist() for per in per_class], "an object"),
    ]
    empty = sum(not len(each.labels) for each in data.val)
    if empty:
        notes.append(f"{empty} validation images without objects; whatever is found in them counts as wrong")
    return Survey(counts, classes, "objects", tuple(notes))


def _outside(pictures: Sequence[Picture]) -> Iterator[str]:
    """Report boxes that reach out of their image, and boxes that lie outside altogether."""
    for what, which, then in (
        ("reach out of their image", "reaches_out", "training clips them"),
        ("lie outside their image", "outside", "training leaves them out, and the metric counts them as missed"),
    ):
        found = [(each, int(number)) for each in pictures for number in np.flatnonzero(getattr(each, which))]
        if found:
            first, number = found[0]
            box = ", ".join(f"{corner:g}" for corner in first.boxes[number])
            where = f"object {number + 1} of {first.path}, ({box}) in {first.width} × {first.height} pixels"
            yield f"{len(found)} boxes {what}: {then}; the first is {where}"


def _absent(classes: Sequence[str], counts: Sequence[Sequence[int]], what: str) -> Iterator[str]:
    for split, found in zip(SPLITS, counts, strict=True):
        names = [name for name, count in zip(classes, found, strict=True) if not count]
        if names:
            yield f"{counted(len(names), 'class', 'classes')} without {what} in {split}: {few(names)}"


def _segmentation(data: SegmentationData) -> Survey:
    pixels = (data.pixels, data.val_pixels)
    shares = [[100 * count / max(sum(found), 1) for count in found] for found in pixels]
    classes = tuple(Row(*line) for line in zip(data.classes, *shares, strict=True))
    counts = (Row("images", len(data.train), len(data.val)),)
    notes = [f"images have a short side of {data.short_side} pixels, most of them", *data.notes]
    notes += _absent(data.classes, pixels, "a pixel")
    return Survey(counts, classes, "share of the labelled pixels", tuple(notes))


def _classification(data: ClassificationData) -> Survey:
    splits = (data.train, data.val)
    names = sorted({*data.train.classes, *data.val.classes} - {UNLABELLED})
    per_class = [_by_class(split, names) for split in splits]
    classes = tuple(Row(name, *found) for name, *found in zip(names, *per_class, strict=True))
    both = len(set(data.train.names) & set(data.val.names))
    notes = [*data.notes, *([f"{both} images have the same name in train and val"] if both else [])]
    return Survey((Row("images", *map(len, splits)),), classes, "images", tuple(notes))


def _by_class(images: ImageSet, names: Sequence[str]) -> list[int]:
    counts = Counter(images.classes[label] for label in images.labels)
    return [counts[name] for name in names]
