"""What every reader for semantic segmentation returns, and the checks that they share.

A reader finds the pairs of image and label map and names the classes; `gather` checks the pairs and counts their pixels.
"""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import DataError, ImageError
from pretrain.images.decode import opened
from transfer.datasets import Tell, fingerprint, labelmaps
from transfer.datasets.truths import FEW, few, settle
from transfer.datasets.truths.segmentation import SEGMENTATION, LabelMaps
from transfer.record import Data

IGNORE = 255
"""The label id that label maps give to ignored pixels, unless a data set says otherwise."""


class Pair(NamedTuple):
    """An image and its label map, both of one size."""

    image: Path
    label: Path


@dataclass(frozen=True)
class Folders:
    """Where a split's images and label maps are: `root/images/STEM + image_suffix` and `root/labels/STEM + label_suffix`."""

    images: str
    """Folder of the images, below the root."""
    labels: str
    """Folder of the label maps, below the root."""
    image_suffix: str
    """How the name of an image ends, such as `.jpg`."""
    label_suffix: str
    """How the name of a label map ends, such as `.png`."""

    def pair(self, root: Path, stem: str) -> Pair:
        """Return the image and the label map of that stem, such as `CITY/NAME`."""
        return Pair(root / self.images / f"{stem}{self.image_suffix}", root / self.labels / f"{stem}{self.label_suffix}")

    def stem(self, root: Path, pair: Pair) -> str:
        """Return the stem of a pair."""
        return pair.image.relative_to(root / self.images).as_posix().removesuffix(self.image_suffix)


class Split(NamedTuple):
    """A split as a reader finds it, unchecked."""

    folders: Folders
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class LabelIds:
    """What the numbers in the label maps mean."""

    classes: tuple[str, ...]
    """Name of each class, those included that no picture has."""
    ignore: int = IGNORE
    """Label id of pixels that count neither in training nor in the metric."""
    reduce_zero_label: bool = False
    """Label maps number the classes from 1, and 0 marks ignored pixels, too, as in ADE20K; `ignore` must be 255 then."""

    @property
    def first(self) -> int:
        """Return the label id of the first class."""
        return int(self.reduce_zero_label)

    def counts(self, histogram: Sequence[int]) -> list[int]:
        """Return the number of pixels of each class, from those of each label id."""
        return list(histogram[self.first : self.first + len(self.classes)])

    def outside(self, histogram: Sequence[int]) -> list[int]:
        """List the label ids that occur and mean nothing."""
        known = {*range(self.first + len(self.classes)), self.ignore}
        return [number for number, count in enumerate(histogram) if count and number not in known]


@dataclass(frozen=True)
class SegmentationData:
    """A checked data set for semantic segmentation."""

    root: Path
    ids: LabelIds
    folders: Mapping[str, Folders]
    """Where the images of `train` and `val` are."""
    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    short_side: int
    """Short side, in pixels, of most training images: the size that random scaling starts from."""
    pixels: tuple[int, ...]
    """Training pixels of each class."""
    val_pixels: tuple[int, ...]
    """Validation pixels of each class."""
    ref: Data
    notes: tuple[str, ...] = ()
    """What is odd in the label maps, and which part of the pixels is ignored."""
    many_channels: frozenset[Path] = frozenset()
    """Label maps written as grey colours or with an alpha, which other tools take for pictures."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the name of each class."""
        return self.ids.classes

    @property
    def ignore(self) -> int:
        """Return the label id of ignored pixels."""
        return self.ids.ignore


class _Checked(NamedTuple):
    """What was seen of a pair."""

    size: tuple[int, int]
    """Width and height in pixels."""
    pixels: list[int]
    """Pixels of each class."""
    ignored: int
    """Pixels of none."""
    one_channel: bool
    """Whether every tool reads its label map as one number per pixel."""


def gather(
    root: Path,
    layout: str,
    ids: LabelIds,
    splits: Mapping[str, Split],
    *,
    tell: Tell,
    looked_for: str,
    fix: str,
    descriptions: Sequence[Path] = (),
) -> SegmentationData:
    """Check every pair of the splits `train` and `val`, and describe the data set.

    Every label map is decoded once, so that an id out of range shows here with its path and not hours later as an
    index error (about 15 ms for a map of 2048 × 1024, in parallel; the images' headers alone are read).

    Args:
        root: Folder of the data set.
        layout: Name of the layout, for the record.
        ids: Meaning of the label ids.
        splits: What the reader found, under `train` and `val`.
        tell: Called with the error of each pair that can't be used.
        looked_for: What the layout looks like, for messages.
        fix: What to do about a label id out of range, for messages.
        descriptions: Files that describe the classes; their contents are part of the fingerprint.

    Raises:
        DataError: If no pair of a split can be used; and what `tell` raises for an image or a label map of different
            sizes or unreadable, a label id out of range, or a degenerate truth, such as that every pixel is ignored.
    """
    checked = {name: _check(name, split.pairs, ids, fix, tell) for name, split in splits.items()}
    for name, split in splits.items():
        if not checked[name]:
            empty = root / split.folders.labels
            raise DataError(f"no pair of an image and a label map can be read in {empty}", allowed=looked_for)
    train, val = (tuple(checked[name]) for name in ("train", "val"))
    images, labels = ([pair[place] for pair in train + val] for place in (0, 1))
    ref = Data(
        name=root.name,
        layout=layout,
        fingerprint=fingerprint(root, images=images, annotations=[*labels, *descriptions]),
        train=len(train),
        val=len(val),
        classes=len(ids.classes),
    )
    short_side = Counter(min(seen.size) for seen in checked["train"].values()).most_common(1)[0][0]
    truth, many = _truth(root, ids, checked), _several_channels(checked)
    notes, pixels = settle(SEGMENTATION, truth, tell), (truth.pixels["train"], truth.pixels["val"])
    folders = {name: split.folders for name, split in splits.items()}
    return SegmentationData(root, ids, folders, train, val, short_side, *pixels, ref, (*notes, *_remarks(many)), many)


def _several_channels(checked: Mapping[str, Mapping[Pair, _Checked]]) -> frozenset[Path]:
    return frozenset(pair.label for seen in checked.values() for pair, each in seen.items() if not each.one_channel)


def _remarks(many: Collection[Path]) -> tuple[str, ...]:
    which = few(sorted(map(str, many)))
    return (f"{len(many)} label maps are grey or opaque pictures, of which the first channel is read: {which}",) if many else ()


def _truth(root: Path, ids: LabelIds, checked: Mapping[str, Mapping[Pair, _Checked]]) -> LabelMaps:
    """Add up what was seen of each split's pairs."""
    pixels = {name: tuple(map(sum, zip(*(seen.pixels for seen in checked[name].values()), strict=True))) for name in checked}
    ignored = {name: sum(seen.ignored for seen in checked[name].values()) for name in checked}
    images, labels = ({name: tuple(pair[place] for pair in checked[name]) for name in checked} for place in (0, 1))
    return LabelMaps(root, ids.classes, ids.ignore, pixels, ignored, images, labels)


def spread(pairs: tuple[Pair, ...], most: int | None) -> tuple[Pair, ...]:
    """Return at most that many pairs, evenly spaced: the list is sorted, and its head may be of a single place."""
    if most is None or most >= len(pairs):
        return pairs
    return tuple(pairs[index * len(pairs) // most] for index in range(most))


def _check(split: str, pairs: Sequence[Pair], ids: LabelIds, fix: str, tell: Tell) -> dict[Pair, _Checked]:
    """Return what was seen of every good pair; tell of the others, in the order given."""

    def check(pair: Pair) -> _Checked | DataError:
        try:
            return _check_pair(pair, ids, fix)
        except DataError as problem:
            return problem

    good: dict[Pair, _Checked] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for pair, seen in zip(pairs, pool.map(check, pairs), strict=True):
            if isinstance(seen, DataError):
                if isinstance(seen, ImageError):
                    seen.split = split
                tell(seen)
            else:
                good[pair] = seen
    return good


def _check_pair(pair: Pair, ids: LabelIds, fix: str) -> _Checked:
    with opened(pair.image, str(pair.image)) as image, opened(pair.label, str(pair.label)) as label:
        if image.size != label.size:
            seen = f"{image.width} × {image.height} and {label.width} × {label.height}"
            raise DataError(f"{pair.label} has another size than its image", seen=seen, allowed="one size")
        size, one_channel = image.size, label.mode in labelmaps.ONE_CHANNEL
        histogram = labelmaps.histogram(label, pair.label)
    outside = ids.outside(histogram)
    if outside:
        allowed = f"{ids.first} to {ids.first + len(ids.classes) - 1}, or {ids.ignore}"
        raise DataError(f"{pair.label} has a label id out of range", seen=_odd(outside), allowed=allowed, fix=fix)
    pixels = ids.counts(histogram)
    return _Checked(size, pixels, sum(histogram) - sum(pixels), one_channel)


def _odd(outside: Sequence[int]) -> str:
    """Show label ids that mean nothing; many are a sign of their own."""
    if len(outside) <= FEW:
        return ", ".join(map(str, outside))
    return f"{few(list(map(str, outside)))}; maps that were resized by interpolation, or saved as JPEG, have many such"
