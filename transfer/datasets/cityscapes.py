"""The Cityscapes layout: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` beside `gtFine/SPLIT/CITY/*_gtFine_labelTrainIds.png`.

The classes are Cityscapes' 19 training ids, or those of a `classes.json` in the root:
`{"num_classes": 19, "ignore": 255, "present_trainIds": {"0": "road", …}}`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pretrain.core.errors import DataError
from pretrain.core.layout import wrong_layout
from pretrain.core.texts import read_text
from pretrain.images.stores import SUFFIXES
from transfer import arrange
from transfer.datasets import Tell, advice, endings, stop
from transfer.datasets.segmentation import IGNORE, Folders, LabelIds, SegmentationData, Split, gather

IMAGES, LABELS = "leftImg8bit", "gtFine"
SPLITS = ("train", "val")
IMAGE_SUFFIX, LABEL_SUFFIX = "_leftImg8bit.png", "_gtFine_labelTrainIds.png"
JPEG_SUFFIXES = ("_leftImg8bit.jpg", "_leftImg8bit.jpeg", "_leftImg8bit.JPG")
"""How the images of a split end that someone made smaller."""
POLYGON_SUFFIX, RAW_LABEL_SUFFIX = "_gtFine_polygons.json", "_gtFine_labelIds.png"
"""What the download has in the place of training ids."""
LOOKED_FOR = f"{IMAGES}/{{train,val}}/CITY/*{IMAGE_SUFFIX} and {LABELS}/{{train,val}}/CITY/*{LABEL_SUFFIX}"
CLASSES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain"),
    *("sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
"""Names of Cityscapes' training ids 0 to 18."""
CLASSES_FILE = "classes.json"
COLOURS_FILE = "label_colors.txt"
"""What CVAT's export has in its root: a line `red green blue name` for each label id, from 0."""
ROADS = {7: "road", 8: "sidewalk"}
"""The first label ids of Cityscapes' table that are evaluated: they tell it from another one."""
LARGEST_CLASSES = 2**20
"""Largest `classes.json`, in bytes."""


class _ClassesFile(BaseModel):
    """The content of `classes.json`."""

    model_config = ConfigDict(frozen=True)

    num_classes: int = Field(ge=2, le=255)
    ignore: int = Field(default=IGNORE, ge=0, le=255)
    present: dict[int, str] = Field(default_factory=dict, alias="present_trainIds")

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, values: Any) -> Any:
        return {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else values


def read(root: Path, *, tell: Tell = stop) -> SegmentationData:
    """Read and check a data set in the Cityscapes layout.

    Raises:
        DataError: For another layout, an empty split, an image or a label map without partner, of different sizes or
            unreadable, or a label id out of range; each names the first wrong path.
    """
    root = root.resolve()
    splits = {split: _split(root, split, tell) for split in SPLITS}
    described = root / CLASSES_FILE
    data = gather(
        root,
        "cityscapes",
        _label_ids(root),
        splits,
        tell=tell,
        looked_for=LOOKED_FOR,
        fix=f"give the ids in training order, or name the classes in {described}",
        descriptions=[described] if described.is_file() else [],
    )
    return replace(data, notes=(*_remarks(splits), *data.notes))


def stems_of(folder: Path, suffix: str) -> set[str]:
    """Return `CITY/NAME` of every file below a folder whose name ends so."""
    return {path.relative_to(folder).as_posix().removesuffix(suffix) for path in folder.rglob(f"*{suffix}")}


def folders_of(root: Path, split: str) -> Folders:
    """Return where a split's images and label maps are, and how the images end: the first ending that any has."""
    images = root / IMAGES / split
    endings = (IMAGE_SUFFIX, *JPEG_SUFFIXES)
    ending = next((each for each in endings if next(images.rglob(f"*{each}"), None) is not None), IMAGE_SUFFIX)
    return Folders(f"{IMAGES}/{split}", f"{LABELS}/{split}", ending, LABEL_SUFFIX)


def _split(root: Path, split: str, tell: Tell) -> Split:
    images, labels = root / IMAGES / split, root / LABELS / split
    for folder in (root, root / IMAGES, root / LABELS, images, labels):
        if not folder.is_dir():
            raise _wrong_layout(root, folder)
    folders = folders_of(root, split)
    stems, labelled = stems_of(images, folders.image_suffix), stems_of(labels, LABEL_SUFFIX)
    raw = next((suffix for suffix in (POLYGON_SUFFIX, RAW_LABEL_SUFFIX) if stems_of(labels, suffix) & (stems - labelled)), None)
    if not (stems and (labelled or raw)):
        return _otherwise_called(root, split)
    make = _make_labels(root) if raw else None
    if not labelled and raw:
        raise DataError(f"{labels} has no training ids", seen=f"*{raw}, but no *{LABEL_SUFFIX}", allowed=LOOKED_FOR, fix=make)
    for stem in sorted(stems ^ labelled):
        image, label = folders.pair(root, stem)
        present, missing = (image, label) if stem in stems else (label, image)
        allowed = "an image for every label map and the other way round"
        tell(DataError(f"{missing} is missing", seen=present, allowed=allowed, fix=make if stem in stems else None))
    return Split(folders, tuple(folders.pair(root, stem) for stem in sorted(stems & labelled)))


def _otherwise_called(root: Path, split: str) -> Split:
    """Pair images and label maps whose names end in another way, the same one in all of a split.

    Raises:
        DataError: If there are no images, or nothing or several label maps can be theirs.
    """
    images, labels = root / IMAGES / split, root / LABELS / split
    pictures, maps = _pictures(images, SUFFIXES), _pictures(labels, {".png"})
    if not pictures:
        raise _wrong_layout(root, images / "CITY" / f"*{IMAGE_SUFFIX}")
    found = endings.told(pictures, maps)
    if found is None:
        raise DataError(
            f"the names in {labels} don't say whose label maps they are",
            seen=f"{len(pictures)} images, {endings.seen(pictures)}; {len(maps)} label maps, {endings.seen(maps)}",
            allowed=f"{LOOKED_FOR}; or one ending of all images, and another of their label maps, ids of training",
            fix="rename them, and leave one kind of label map in the folder",
        )
    folders = Folders(f"{IMAGES}/{split}", f"{LABELS}/{split}", *found)
    return Split(folders, tuple(folders.pair(root, path.removesuffix(found.image)) for path in pictures))


def _pictures(folder: Path, suffixes: Collection[str]) -> list[str]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and not path.name.startswith("."))
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _remarks(splits: Mapping[str, Split]) -> Iterator[str]:
    """Say which splits have names of another form."""
    for split, (folders, _) in splits.items():
        if folders.label_suffix != LABEL_SUFFIX or folders.image_suffix not in (IMAGE_SUFFIX, *JPEG_SUFFIXES):
            yield (
                f"{split} has other names than Cityscapes': images end in {folders.image_suffix}, "
                f"label maps in {folders.label_suffix}, which are read as ids of training"
            )


def own_labels(root: Path) -> Path | None:
    """Return the file that gives the label ids another meaning than Cityscapes' table; None if there is none."""
    path = root / COLOURS_FILE
    if not path.is_file():
        return None
    text = read_text(path, LARGEST_CLASSES)
    names = [line.split(maxsplit=3)[-1].strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return path if dict(enumerate(names)).items() & ROADS.items() != ROADS.items() else None


def name_own_labels(root: Path) -> str:
    """Say what to do with label ids that aren't Cityscapes'."""
    by_hand = f"copy *{RAW_LABEL_SUFFIX} to *{LABEL_SUFFIX}, and name the classes in {root / CLASSES_FILE}"
    return arrange.advice(root, "cityscapes") or by_hand


def _make_labels(root: Path) -> str:
    """Say what to do about missing training ids where there is something to make them from."""
    if own_labels(root):
        return name_own_labels(root)
    if (root / CLASSES_FILE).is_file():
        return "write the label maps with the ids of classes.json"
    return f"bench data check --task cityscapes --data {root} --make, which makes them"


def _wrong_layout(root: Path, first_wrong: Path) -> DataError:
    fix = "point --data at the folder that holds leftImg8bit/ and gtFine/"
    if (root / IMAGES).is_dir() or (root / LABELS).is_dir():
        fix = f"put {first_wrong.name} into {first_wrong.parent}"
    return wrong_layout(
        root,
        layout="cityscapes",
        looked_for=LOOKED_FOR,
        first_wrong=first_wrong,
        fix=fix,
        fits=lambda other: all((other / each / split).is_dir() for each in (IMAGES, LABELS) for split in SPLITS),
        advice=lambda: arrange.advice(root, "cityscapes") or advice.elsewhere(root, first_wrong),
    )


def _label_ids(root: Path) -> LabelIds:
    path = root / CLASSES_FILE
    if not path.is_file():
        return LabelIds(CLASSES)
    shape = '{"num_classes": 19, "ignore": 255, "present_trainIds": {"0": "road"}}'
    try:
        described = _ClassesFile.model_validate_json(read_text(path, LARGEST_CLASSES))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"can't read the classes in {path}", seen=f"{field}: {first['msg']}", allowed=shape) from None
    count, present = described.num_classes, described.present
    outside = sorted(number for number in present if not 0 <= number < count)
    if outside:
        raise DataError(f"{path} names a class that is out of range", seen=outside[0], allowed=f"0 to {count - 1}")
    spare = CLASSES if count == len(CLASSES) else tuple(f"class {number}" for number in range(count))
    return LabelIds(tuple(present.get(number, spare[number]) for number in range(count)), described.ignore)
