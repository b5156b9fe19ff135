"""The PASCAL VOC layout as Detectron2 expects it: `VOC2007/{Annotations,ImageSets/Main,JPEGImages}` and `VOC2012`.

The classes are the lines of `classes.txt` beside those folders, or without that file the sorted names in the annotations
(for the real VOC: its 20 classes in their usual order).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pretrain.core.errors import DataError
from pretrain.core.layout import wrong_layout
from pretrain.core.texts import read_text
from transfer import arrange
from transfer.datasets import Tell, advice, fingerprint, is_plain_name, stop
from transfer.datasets.assemble import assemble
from transfer.datasets.objects import DetectionData, Picture, image_size
from transfer.datasets.remarks import Remarks
from transfer.datasets.vocfile import Annotation, read_annotation
from transfer.datasets.voclists import Listed

LISTS = "ImageSets/Main"
"""Where the lists are, below a folder such as VOC2007."""
LOOKED_FOR = "VOC2007/{Annotations,ImageSets/Main,JPEGImages}; for VOC07+12 also VOC2012"
"""The layout, for messages."""
ABSENT = "-1"
"""Mark of an image in a list of one class, such as `cat_trainval.txt`, of which nothing is in it."""
LARGEST_LIST = 2**26
"""Bytes of a list of names at most; VOC's own have up to 250 kB."""


def read(
    root: Path,
    *,
    train: Sequence[str] = ("VOC2007/trainval",),
    val: str = "VOC2007/test",
    masks: bool = False,
    max_val_images: int | None = None,
    tell: Tell = stop,
) -> DetectionData:
    """Read the splits, each `FOLDER/NAME`.

    Args:
        root: Folder of the layout above.
        train: Splits to train on.
        val: Split to evaluate on.
        masks: Whether masks are trained and measured, which this layout has not.
        max_val_images: Validation images at most, evenly spaced; None: all.
        tell: Called with the error for a wrong image or annotation; raises it by default.

    Raises:
        DataError: For another layout, or an annotation that can't be read; names the path.
    """
    if masks:
        raise DataError("the VOC layout has no masks", seen="masks=true", fix="--set masks=false, or a task of the layout coco")
    remarks = Remarks()
    training = [annotation for split in train for annotation in _split(root, split, remarks, tell)]
    validation = _split(root, val, remarks, tell)
    names = root / "classes.txt"
    classes = _listed(names) if names.is_file() else _named([*training, *validation])
    dropped: list[str] = []
    pictures = _pictures(training, classes, dropped, tell)
    held_out = _pictures(validation, classes, dropped, tell)
    return assemble(
        root,
        "voc",
        fingerprint=_fingerprint(root, (*train, val), [*training, *validation]),
        classes=classes,
        splits=train,
        val_split=val,
        train=pictures,
        val=held_out,
        notes=(*_notes(dropped, [*training, *validation]), *remarks.notes()),
        max_val_images=max_val_images,
        tell=tell,
    )


def _split(root: Path, split: str, remarks: Remarks, tell: Tell) -> list[Annotation]:
    folder, _, name = split.partition("/")
    if not (is_plain_name(folder) and is_plain_name(name)):
        raise DataError("no split of the VOC layout", seen=split, allowed="FOLDER/NAME, such as VOC2007/trainval")
    listing = root / folder / "ImageSets" / "Main" / f"{name}.txt"
    for path in (root / folder, root / folder / "Annotations", root / folder / "JPEGImages", listing):
        if not (path.is_file() if path is listing else path.is_dir()):
            raise _wrong_layout(root, folder, path, listing)
    lines = _lines(listing)
    if not lines:
        raise DataError(f"{listing} lists no image", fix="write one file stem per line")
    named = Listed(root / folder, remarks)
    found: dict[str, Annotation] = {}
    for number, line in enumerate(lines, start=1):
        try:
            identity = named.identity(line)
            if line.split()[-1] == ABSENT and identity.split()[-1:] != [ABSENT]:
                remarks.add(
                    f"images that a list of one class marks by {ABSENT}, as without it, left out", f"{line!r} in {listing}"
                )
                continue
            if identity in found:
                raise DataError(
                    f"{listing} lists {identity!r} twice", seen=f"again as image {number}", allowed="each image once"
                )
            path = named.annotation(identity, listing)
            found[identity] = read_annotation(path, named.image(identity, listing))
        except DataError as problem:
            tell(problem)
    return list(found.values())


def _wrong_layout(root: Path, folder: str, path: Path, listing: Path) -> DataError:
    fix = f"pass the folder that contains {folder} with --data"
    if path is listing:
        fix = f"write {listing}, with the name of an image without its ending in each line"
    elif path != root / folder:
        fix = f"put {path.name} into {root / folder}"
    return wrong_layout(
        root,
        layout="VOC",
        looked_for=LOOKED_FOR,
        first_wrong=path,
        fix=fix,
        folder=path is not listing,
        fits=lambda other: not {split.split("/")[0] for split in _splits(other)}.isdisjoint({folder, root.absolute().name}),
        advice=lambda: _advice(root, folder),
    )


def _advice(root: Path, folder: str) -> str | None:
    """Say how to read what lies in the root: splits of other names, or an export."""
    there = _splits(root)
    same = [split for split in there if split.startswith(f"{folder}/")]
    if there and not same and folder == "VOC2012":
        return "put VOC2012 beside VOC2007, or use --task voc07, which needs VOC2007 only"
    return advice.other_splits(same or there) or (None if there else arrange.advice(root, "voc"))


def _splits(root: Path) -> list[str]:
    """Name the splits of which the list, the annotations and the images are there; a class's own lists are none."""
    lists = [path for path in root.glob(f"*/{LISTS}/*.txt") if not path.stem.endswith(("_train", "_val", "_trainval", "_test"))]
    whole = [path for path in lists if all((path.parents[2] / each).is_dir() for each in ("Annotations", "JPEGImages"))]
    return [f"{path.parents[2].name}/{path.stem}" for path in whole]


def _lines(path: Path) -> list[str]:
    """Read the lines that aren't empty."""
    return [line.strip() for line in read_text(path, LARGEST_LIST).splitlines() if line.strip()]


def _listed(path: Path) -> tuple[str, ...]:
    classes = tuple(_lines(path))
    if not classes or len(set(classes)) != len(classes):
        raise DataError(f"{path} must name each class once", seen=f"{len(classes)} lines, {len(set(classes))} names")
    return classes


def _named(annotations: Iterable[Annotation]) -> tuple[str, ...]:
    return tuple(sorted({name for annotation in annotations for name in annotation.names}))


def _pictures(
    annotations: Iterable[Annotation], classes: tuple[str, ...], dropped: list[str], tell: Tell
) -> tuple[Picture, ...]:
    labels, pictures = {name: label for label, name in enumerate(classes)}, []
    for annotation in annotations:
        try:
            pictures.append(_picture(annotation, labels, dropped))
        except DataError as problem:
            tell(problem)
    return tuple(pictures)


def _picture(annotation: Annotation, classes: Mapping[str, int], dropped: list[str]) -> Picture:
    for number, name in enumerate(annotation.names, start=1):
        if name not in classes:
            raise DataError.unknown(f"class of object {number} in {annotation.path}:", name, classes)
    width, height = annotation.size or image_size(annotation.image)
    # Detectron2: pixel indices counted from 1 and inclusive → continuous coordinates.
    boxes = np.array(annotation.corners, dtype=np.float32).reshape(-1, 4) - np.array([1, 1, 0, 0], dtype=np.float32)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    # NOTE: Detectron2 swaps such corners in training and counts the object as missed in its metric.
    dropped.extend([annotation.path.stem] * int((~whole).sum()))
    labels = np.array([classes[name] for name in annotation.names], dtype=np.int64)
    difficult = np.array(annotation.difficult, dtype=bool)
    crowd = np.zeros(int(whole.sum()), dtype=bool)
    stem = annotation.path.stem
    return Picture(annotation.image, stem, width, height, boxes[whole], labels[whole], difficult[whole], crowd, None)


def _fingerprint(root: Path, splits: Sequence[str], annotations: list[Annotation]) -> str:
    lists = {root / folder / "ImageSets" / "Main" / f"{name}.txt" for folder, name in (split.split("/") for split in splits)}
    names = {root / "classes.txt"} if (root / "classes.txt").is_file() else set()
    texts = {annotation.path for annotation in annotations} | lists | names
    return fingerprint(root, images={annotation.image for annotation in annotations}, annotations=texts)


def _notes(dropped: list[str], annotations: list[Annotation]) -> tuple[str, ...]:
    corners = [box for annotation in annotations for box in annotation.corners]
    thin = sum(left == right or top == bottom for left, top, right, bottom in corners)
    notes = []
    if dropped:
        notes.append(f"{len(dropped)} boxes without area left out, the first in {dropped[0]}")
    if thin:
        notes.append(f"{thin} boxes are one pixel thin (equal corners); kept, as in Detectron2")
    return tuple(notes)
