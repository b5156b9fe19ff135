"""Degenerate truths of detection data: `DETECTION` lists them.

Shapes: N objects of a split. Numbers are those that the annotations hold: x, y, width, height for COCO, corners for VOC.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pretrain.core.errors import DataError
from transfer.datasets.objects import Picture
from transfer.datasets.readings import misread
from transfer.datasets.truths import Finding, alike, in_both

PIXELS = "boxes in pixels"
MOST = 0.5
"""Part of the boxes from which on a fault is one of the whole file."""


class Objects(NamedTuple):
    """What a reader of a detection layout has read."""

    root: Path
    """Folder of the data."""
    classes: tuple[str, ...]
    """Names of the classes."""
    splits: tuple[str, ...]
    """Names of the training splits."""
    train: tuple[Picture, ...]
    """All training images, those without objects included."""
    val: tuple[Picture, ...]
    """The images that are evaluated on."""
    val_split: str
    """Name of the validation split."""

    def sides(self) -> tuple[tuple[str, tuple[Picture, ...]], ...]:
        """Return training and validation images, each with the names of their splits."""
        return (", ".join(self.splits), self.train), (self.val_split, self.val)


def nothing_to_train_on(truth: Objects) -> Iterator[Finding]:
    """Refuse training images without a single object that is trained on, and say why none is."""
    if any(picture.trainable.any() for picture in truth.train):
        return
    split, images = truth.sides()[0]
    seen = f"{len(images)} images of {split}"
    objects, crowds = sum(len(each.labels) for each in images), sum(int(each.crowd.sum()) for each in images)
    wrong = f"no objects to train on in {truth.root}"
    if objects and objects == crowds:
        fix = "write iscrowd 0 for single objects; some tools write 1 for every mask or group"
        yield DataError(wrong, seen=f"{seen}; all {objects} objects are crowd regions (iscrowd 1), not trained on", fix=fix)
    elif objects:
        yield DataError(
            f"{wrong}: it holds boxes alone",
            seen=f"{seen}; {objects - crowds} boxes, of which none has a mask ('segmentation')",
            allowed="a polygon of 3 points or more, or a run-length encoding, for the objects of a task with masks",
            fix="--task coco-c4-box, which trains and measures boxes alone; --set masks=false does so in any task",
        )
    else:
        yield DataError(wrong, seen=seen)


def nothing_to_find(truth: Objects) -> Iterator[Finding]:
    """Refuse validation images in which the metric has nothing to find: precision and recall are undefined."""
    fix = "name a split with annotated objects by --set val_split=NAME, or annotate this one"
    if not truth.val:
        yield DataError(f"no image to evaluate on in {truth.root}", seen=f"0 images in {truth.val_split}", fix=fix)
    elif not any((~each.crowd & ~each.difficult).any() for each in truth.val):
        objects = sum(len(each.labels) for each in truth.val)
        which = (
            f"{objects} objects, all of them crowd regions or difficult ones, which count nowhere" if objects else "no object"
        )
        seen = f"{len(truth.val)} images of {truth.val_split}; {which}"
        yield DataError(f"nothing to find in the validation images of {truth.root}", seen=seen, fix=fix)


def masks_missing(truth: Objects) -> Iterator[Finding]:
    """Note how many objects of a task with masks have none."""
    lacking = [
        (each, int(n)) for each in (*truth.train, *truth.val) if each.masks is not None for n in np.flatnonzero(~each.masked)
    ]
    if lacking:
        total = sum(len(each.labels) for each in (*truth.train, *truth.val))
        first, number = lacking[0]
        yield (
            f"{len(lacking)} of {total} objects are boxes without a mask: they count for AP_box, not for AP_seg, and are not "
            f"trained on; the first is object {number + 1} of {first.path}"
        )


def shares_for_pixels(truth: Objects) -> Iterator[Finding]:
    """Refuse boxes given as parts of the image, all of whose numbers are 1 at most, and boxes that are all below a pixel."""
    allowed, fix = PIXELS, "multiply x and width by the image's width, y and height by its height"
    for split, images in truth.sides():
        numbers = _numbers(images)
        if not len(numbers):
            continue
        shares, below = np.asarray(numbers.max(axis=1) <= 1), _below_a_pixel(images)
        if shares.all():
            seen = f"all {len(numbers)} boxes of {split} have numbers of at most 1, such as {_shown(numbers[0])}"
            yield DataError(f"the boxes in {truth.root} are shares of the image", seen=seen, allowed=allowed, fix=fix)
        elif below.all():
            seen = f"all {len(numbers)} boxes of {split}, such as {_shown(numbers[0])}"
            yield DataError(f"the boxes in {truth.root} are all smaller than a pixel", seen=seen, allowed=allowed)
        elif shares.any():
            first = _shown(numbers[int(shares.argmax())])
            few = int(shares.sum())
            yield f"{few} boxes of {split} have numbers of at most 1, like shares of the image; the first is {first}"


def another_reading(truth: Objects) -> Iterator[Finding]:
    """Refuse boxes of COCO that reach out of their image as corner and size, and fit as two corners, or as centre and size."""
    images = (*truth.train, *truth.val)
    if images and all(each.measures is not None for each in images):
        error = misread(_numbers(images), _image_sizes(images), "size", truth.root)
        yield from () if error is None else (error,)


def out_of_the_image(truth: Objects) -> Iterator[Finding]:
    """Refuse a split whose boxes all lie outside their images; note it where most reach out."""
    for split, images in truth.sides():
        outside = np.concatenate([each.outside for each in images] or [np.zeros(0, dtype=bool)])
        reach = np.concatenate([each.reaches_out for each in images] or [np.zeros(0, dtype=bool)])
        if len(outside) and outside.all():
            fix = "give the boxes in pixels of the images that are there: of another size, or of others?"
            yield DataError(f"all {len(outside)} boxes of {split} in {truth.root} lie outside their images", fix=fix)
        elif len(outside) and (outside | reach).mean() > MOST:
            yield f"most boxes of {split} reach out of their image: {int((outside | reach).sum())} of {len(outside)}"


def one_file_twice(truth: Objects) -> Iterator[Finding]:
    """Refuse a file that has two ids in a split; note files that are trained on and evaluated on."""
    for split, images in truth.sides():
        entries: defaultdict[Path, set[str | int]] = defaultdict(set)
        for each in images:
            entries[each.path].add(each.identity)
        twice = {path: ids for path, ids in entries.items() if len(ids) > 1}
        for path, ids in list(twice.items())[:1]:
            more = f", and {len(twice) - 1} files more" if len(twice) > 1 else ""
            seen, fix = f"the ids {', '.join(map(str, sorted(ids, key=str)))}{more}", "join its entries and their objects"
            yield DataError(f"{path} is there twice in {split}", seen=seen, allowed="each image once", fix=fix)
    yield from in_both((each.path for each in truth.train), (each.path for each in truth.val))


def names_alike(truth: Objects) -> Iterator[Finding]:
    """Note classes whose names differ by case alone."""
    yield from alike(truth.classes)


DETECTION: tuple[Callable[[Objects], Iterator[Finding]], ...] = (
    nothing_to_train_on,
    nothing_to_find,
    masks_missing,
    shares_for_pixels,
    another_reading,
    out_of_the_image,
    one_file_twice,
    names_alike,
)
"""The degenerate truths, in the order in which they are told."""


def _numbers(images: Sequence[Picture]) -> NDArray[np.float64]:
    """Return the boxes as the annotations have them, (N, 4)."""
    # VOC's reader took 1 off the left and the top.
    found = [each.boxes + np.array([1, 1, 0, 0]) if each.measures is None else each.measures[:, :4] for each in images]
    return np.concatenate([np.zeros((0, 4)), *found])


def _below_a_pixel(images: Sequence[Picture]) -> NDArray[np.bool_]:
    """Tell of each box (N,) whether both of its sides are shorter than a pixel."""
    boxes = np.concatenate([np.zeros((0, 4)), *(each.boxes for each in images)])
    return np.asarray(((boxes[:, 2:] - boxes[:, :2]) < 1).all(axis=1))


def _image_sizes(images: Sequence[Picture]) -> NDArray[np.float64]:
    """Return width and height of each object's image, (N, 2)."""
    sizes = [np.tile([each.width, each.height], (len(each.labels), 1)) for each in images]
    return np.concatenate([np.zeros((0, 2)), *sizes])


def _shown(numbers: NDArray[np.float64]) -> str:
    return f"[{', '.join(f'{number:g}' for number in numbers)}]"
