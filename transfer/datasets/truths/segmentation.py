"""Degenerate truths of label maps: `SEGMENTATION` lists them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pretrain.core.errors import DataError
from transfer.datasets.labelmaps import LABEL_IDS, read_ids
from transfer.datasets.truths import Finding, alike, few, in_both

LOOKED_AT = 16
"""Label maps, evenly spaced, in which edges are looked at: what resizes one resizes all."""
THIN = 0.05
"""Largest fraction of an id's pixels that begin a block of 2 × 2 such pixels, for an id that lies along edges alone."""
THIN_IDS, THIN_PART = 3, 0.25
"""How many ids, and which part of all ids, lie along edges alone in maps that were resized by interpolation."""


class LabelMaps(NamedTuple):
    """What a reader of a segmentation layout has read; the mappings have the keys `train` and `val`."""

    root: Path
    """Folder of the data."""
    classes: tuple[str, ...]
    """Names of the classes."""
    ignore: int
    """Label id of ignored pixels."""
    pixels: Mapping[str, tuple[int, ...]]
    """Pixels of each class."""
    ignored: Mapping[str, int]
    """Pixels that count nowhere."""
    images: Mapping[str, tuple[Path, ...]]
    """Images."""
    labels: Mapping[str, tuple[Path, ...]]
    """Their label maps."""

    def ignored_share(self, split: str) -> float:
        """Return which part of a split's pixels is ignored."""
        return self.ignored[split] / max(self.ignored[split] + sum(self.pixels[split]), 1)


def all_ignored(truth: LabelMaps) -> Iterator[Finding]:
    """Refuse a split without a single pixel of a class."""
    for split, pixels in truth.pixels.items():
        if not any(pixels):
            yield DataError(
                f"every pixel of {split} in {truth.root} is ignored: no class can be measured",
                seen=f"{truth.ignored[split]} pixels of {len(truth.labels[split])} label maps, all of them ignored",
                allowed=f"label ids of classes; {truth.ignore} marks ignored pixels",
                fix="write the label maps with the ids of the classes, from 0, and name them in classes.json",
            )


def one_class_alone(truth: LabelMaps) -> Iterator[Finding]:
    """Refuse training label maps of one class, in which nothing is to be told apart; note such validation label maps."""
    for split, pixels in truth.pixels.items():
        present = [name for name, count in zip(truth.classes, pixels, strict=True) if count]
        if len(present) != 1:
            continue
        share = f"{100 * truth.ignored_share(split):.1f} % of the pixels have the ignored id {truth.ignore}"
        if split == "train":
            yield DataError(
                f"the label maps of train in {truth.root} hold one class alone: any prediction of it would be right",
                seen=f"1 of {len(truth.classes)} classes, {present[0]!r}; {share}",
                allowed="pixels of two classes or more",
                fix=f"if {truth.ignore} is a class, as in masks of 0 and 255, write it as 1; or name other ids in classes.json",
            )
        else:
            yield f"the label maps of {split} hold 1 of {len(truth.classes)} classes alone, {present[0]!r}; {share}"


def share_ignored(truth: LabelMaps) -> Iterator[Finding]:
    """Note which part of the pixels counts nowhere."""
    if any(truth.ignored.values()):
        shares = ", ".join(f"{100 * truth.ignored_share(split):.1f} % of {split}" for split in truth.pixels)
        yield f"pixels that are ignored, and count nowhere: {shares}"


def interpolated(truth: LabelMaps) -> Iterator[Finding]:
    """Note label maps that look resized by interpolation: between two ids then lie others, along the edges alone."""
    maps = truth.labels["train"]
    chosen = maps if len(maps) <= LOOKED_AT else tuple(maps[index * len(maps) // LOOKED_AT] for index in range(LOOKED_AT))
    pixels, blocks = np.sum([_pixels_and_blocks(path) for path in chosen], axis=0)
    present = [number for number in np.flatnonzero(pixels).tolist() if number != truth.ignore]
    thin = [number for number in present if blocks[number] <= THIN * pixels[number]]
    if len(thin) >= max(THIN_IDS, THIN_PART * len(present)):
        yield (
            f"{len(thin)} of {len(present)} label ids lie along edges alone, {few(list(map(str, thin)))}: label maps that were "
            "resized or smoothed by interpolation have such; nearest neighbour keeps the ids"
        )


def one_file_twice(truth: LabelMaps) -> Iterator[Finding]:
    """Note images that are trained on and evaluated on."""
    yield from in_both(truth.images["train"], truth.images["val"])


def names_alike(truth: LabelMaps) -> Iterator[Finding]:
    """Note classes whose names differ by case alone."""
    yield from alike(truth.classes)


SEGMENTATION: tuple[Callable[[LabelMaps], Iterator[Finding]], ...] = (
    all_ignored,
    one_class_alone,
    share_ignored,
    interpolated,
    one_file_twice,
    names_alike,
)
"""The degenerate truths, in the order in which they are told."""


def _pixels_and_blocks(path: Path) -> NDArray[np.int64]:
    """Count the pixels of each label id, and those at which a block of 2 × 2 such pixels begins: (2, 256)."""
    labels = read_ids(path)
    corner = labels[:-1, :-1]
    same = (corner == labels[1:, :-1]) & (corner == labels[:-1, 1:]) & (corner == labels[1:, 1:])
    counts = (np.bincount(each.ravel(), minlength=LABEL_IDS) for each in (labels, corner[same]))
    return np.stack(list(counts))
