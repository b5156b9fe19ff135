"""The Cityscapes layout: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` beside `gtFine/SPLIT/CITY/*_gtFine_labelTrainIds.png`.

The classes are Cityscapes' 19 training ids, or those of a `classes.json` in the root:
`{"num_classes": 19, "ignore": 255, "present_trainIds": {"0": "road", …}}`.
"""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pretrain.core.errors import DataError
from pretrain.images.decode import BROKEN
from transfer.datasets import Tell, content, fingerprint, stop, wrong_layout
from transfer.record import Data

IMAGES, LABELS = "leftImg8bit", "gtFine"
SPLITS = ("train", "val")
IMAGE_SUFFIX, LABEL_SUFFIX = "_leftImg8bit.png", "_gtFine_labelTrainIds.png"
POLYGON_SUFFIX, RAW_LABEL_SUFFIX = "_gtFine_polygons.json", "_gtFine_labelIds.png"
"""What the download has in the place of training ids."""
LOOKED_FOR = f"{IMAGES}/{{train,val}}/CITY/*{IMAGE_SUFFIX} and {LABELS}/{{train,val}}/CITY/*{LABEL_SUFFIX}"
CLASSES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain"),
    *("sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
"""Names of Cityscapes' training ids 0 to 18."""
IGNORE = 255
LARGEST_CLASSES = 2**20
"""Bytes of `classes.json` at most."""
INDEX_MODES = ("L", "P")
"""Pillow's modes of a picture with one 8-bit number per pixel."""


class Pair(NamedTuple):
    """An image and its label map, of one size."""

    image: Path
    label: Path


@dataclass(frozen=True)
class SegmentationData:
    """A checked data set for semantic segmentation."""

    root: Path
    classes: tuple[str, ...]
    """Name of each label id; also of those that no picture has."""
    ignore: int
    """Label id of pixels that count neither in training nor in the metric."""
    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    short_side: int
    """The short side, in pixels, of most training images: the size that random scaling starts from."""
    pixels: tuple[int, ...]
    """Training pixels of each class."""
    val_pixels: tuple[int, ...]
    """Validation pixels of each class."""
    ref: Data


class _Checked(NamedTuple):
    """What was seen of a pair."""

    size: tuple[int, int]
    """Width and height."""
    pixels: list[int]
    """Pixels of each label id, 0 to 255."""


class _ClassesFile(BaseModel):
    """`classes.json`."""

    model_config = ConfigDict(frozen=True)

    num_classes: int = Field(ge=2, le=255)
    ignore: int = Field(default=IGNORE, ge=0, le=255)
    present: dict[int, str] = Field(default_factory=dict, alias="present_trainIds")


def read(root: Path, *, tell: Tell = stop) -> SegmentationData:
    """Read and check a data set in the Cityscapes layout.

    Every label map is decoded once, so that an id out of range shows here with its path and not hours later as an
    index error (about 15 ms for a map of 2048 × 1024, in parallel; the images' headers alone are read).

    Raises:
        DataError: For another layout, an empty split, an image or a label map without partner, of different sizes or
            unreadable, or a label id out of range; each names the first wrong path.
    """
    root = root.resolve()
    splits = {split: _pairs(root, split, tell) for split in SPLITS}
    names, ignore = _classes(root)
    checked = {split: _check(pairs, len(names), ignore, tell) for split, pairs in splits.items()}
    train, val = (tuple(checked[split]) for split in SPLITS)
    if not train or not val:
        empty = "train" if not train else "val"
        raise DataError(f"no pair of an image and a label map can be read in {root / LABELS / empty}", allowed=LOOKED_FOR)
    described = [root / "classes.json"] * (root / "classes.json").is_file()
    ref = Data(
        name=root.name,
        layout="cityscapes",
        fingerprint=fingerprint(
            root, images=[p.image for p in train + val], annotations=[p.label for p in train + val] + described
        ),
        train=len(train),
        val=len(val),
        classes=len(names),
    )
    short_side = Counter(min(seen.size) for seen in checked["train"].values()).most_common(1)[0][0]
    pixels = {
        split: tuple(sum(seen.pixels[number] for seen in checked[split].values()) for number in range(len(names)))
        for split in SPLITS
    }
    return SegmentationData(root, names, ignore, train, val, short_side, pixels["train"], pixels["val"], ref)


def stems_of(folder: Path, suffix: str) -> set[str]:
    """`CITY/NAME` of every file below with that ending."""
    return {path.relative_to(folder).as_posix().removesuffix(suffix) for path in folder.rglob(f"*{suffix}")}


def _pairs(root: Path, split: str, tell: Tell) -> tuple[Pair, ...]:
    images, labels = root / IMAGES / split, root / LABELS / split
    for folder in (root, root / IMAGES, root / LABELS, images, labels):
        if not folder.is_dir():
            raise _wrong_layout(root, folder)
    stems = stems_of(images, IMAGE_SUFFIX)
    if not stems:
        raise _wrong_layout(root, images / "CITY" / f"*{IMAGE_SUFFIX}")
    labelled = stems_of(labels, LABEL_SUFFIX)
    raw = next((suffix for suffix in (POLYGON_SUFFIX, RAW_LABEL_SUFFIX) if stems_of(labels, suffix) & (stems - labelled)), None)
    make = _make_labels(root) if raw else None
    if not labelled and raw:
        raise DataError(f"{labels} has no training ids", seen=f"*{raw}, but no *{LABEL_SUFFIX}", allowed=LOOKED_FOR, fix=make)
    for stem in sorted(stems ^ labelled):
        image, label = images / f"{stem}{IMAGE_SUFFIX}", labels / f"{stem}{LABEL_SUFFIX}"
        present, missing = (image, label) if stem in stems else (label, image)
        allowed = "an image for every label map and the other way round"
        tell(DataError(f"{missing} is missing", seen=present, allowed=allowed, fix=make if stem in stems else None))
    return tuple(Pair(images / f"{stem}{IMAGE_SUFFIX}", labels / f"{stem}{LABEL_SUFFIX}") for stem in sorted(stems & labelled))


def _make_labels(root: Path) -> str:
    """What to do about missing training ids where there is something to make them from."""
    if (root / "classes.json").is_file():
        return "write the label maps with the ids of classes.json"
    return f"bench data check --task cityscapes --data {root} --make, which makes them"


def _wrong_layout(root: Path, first_wrong: Path) -> DataError:
    fix = "point --data at the folder that holds leftImg8bit/ and gtFine/"
    return wrong_layout(root, layout="cityscapes", looked_for=LOOKED_FOR, first_wrong=first_wrong, fix=fix)


def _classes(root: Path) -> tuple[tuple[str, ...], int]:
    path = root / "classes.json"
    if not path.is_file():
        return CLASSES, IGNORE
    shape = '{"num_classes": 19, "ignore": 255, "present_trainIds": {"0": "road"}}'
    try:
        described = _ClassesFile.model_validate_json(content(path, LARGEST_CLASSES))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"can't read the classes in {path}", seen=f"{place}: {first['msg']}", allowed=shape) from None
    count, present = described.num_classes, described.present
    outside = sorted(number for number in present if not 0 <= number < count)
    if outside:
        raise DataError(f"{path} names a class that is out of range", seen=outside[0], allowed=f"0 to {count - 1}")
    spare = CLASSES if count == len(CLASSES) else tuple(f"class {number}" for number in range(count))
    return tuple(present.get(number, spare[number]) for number in range(count)), described.ignore


def _check(pairs: Sequence[Pair], classes: int, ignore: int, tell: Tell) -> dict[Pair, _Checked]:
    """What was seen of every good pair; tells of the others, in the order given."""

    def check(pair: Pair) -> _Checked | DataError:
        try:
            return _check_pair(pair, classes, ignore)
        except DataError as problem:
            return problem

    good: dict[Pair, _Checked] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for pair, seen in zip(pairs, pool.map(check, pairs), strict=True):
            if isinstance(seen, DataError):
                tell(seen)
            else:
                good[pair] = seen
    return good


def _check_pair(pair: Pair, classes: int, ignore: int) -> _Checked:
    with _open(pair.image) as image, _open(pair.label) as label:
        if label.mode not in INDEX_MODES:
            seen, allowed = f"a picture of mode {label.mode}", "one 8-bit training id per pixel"
            raise DataError(f"{pair.label} is not a label map", seen=seen, allowed=allowed)
        if image.size != label.size:
            seen = f"{image.width} × {image.height} and {label.width} × {label.height}"
            raise DataError(f"{pair.label} has another size than its image", seen=seen, allowed="one size")
        try:
            pixels = label.histogram()
        except BROKEN as error:
            raise _unreadable(pair.label, error) from None
        size = image.size
    outside = [number for number, count in enumerate(pixels) if count and number >= classes and number != ignore]
    if outside:
        fix = f"give the ids in training order, or name the classes in {pair.label.parents[3] / 'classes.json'}"
        raise DataError(
            f"{pair.label} has a label id out of range", seen=outside[0], allowed=f"0 to {classes - 1}, or {ignore}", fix=fix
        )
    return _Checked(size, pixels)


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except BROKEN as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"can't read the picture {path}", seen=error, fix="copy the file again")
