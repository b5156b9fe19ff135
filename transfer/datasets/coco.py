"""The COCO layout as Detectron2 expects it: `annotations/instances_{train,val}2017.json`, `train2017`, `val2017`.

The classes are the file's categories in the order of their ids, whatever these are.

A file is read once, entry by entry, into columns of numbers; only these and the masks, as arrays, stay in memory.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pretrain.core.errors import DataError
from pretrain.core.layout import wrong_layout
from transfer import arrange
from transfer.datasets import Tell, advice, fingerprint, is_plain_name, stop
from transfer.datasets.assemble import assemble
from transfer.datasets.cocofile import AREA, BOX, CocoFile, Dropped
from transfer.datasets.jsonlists import read_lists
from transfer.datasets.objects import DetectionData, Picture

ANNOTATIONS, INSTANCES = "annotations", "instances_"
"""The folder of the annotations, and how the name of a split's file begins there."""
LOOKED_FOR = "annotations/instances_train2017.json, annotations/instances_val2017.json, train2017, val2017"
"""The layout, for messages."""


def read(
    root: Path,
    *,
    train: Sequence[str] = ("train2017",),
    val: str = "val2017",
    masks: bool = True,
    max_val_images: int | None = None,
    tell: Tell = stop,
) -> DetectionData:
    """Read the splits.

    Args:
        root: Folder of the layout above.
        train: Splits to train on.
        val: Split to evaluate on.
        masks: Whether masks are trained and measured, too; if not, the file's are not looked at.
        max_val_images: Validation images at most, evenly spaced; None: all.
        tell: Called with the error for a wrong image or annotation; raises it by default.

    Raises:
        DataError: For another layout, or an annotation that can't be read; names the path and the entry.
    """
    splits = dict.fromkeys((*train, val))
    paths = {split: _file(root, split) for split in splits}
    dropped = Dropped()
    files = {split: _read(path, dropped, masks, tell) for split, path in paths.items()}
    categories = files[val].named_categories()
    for split in train:
        if files[split].named_categories() != categories:
            allowed = "the same ids and names in both"
            tell(DataError(f"{paths[split]} and {paths[val]} name other categories", allowed=allowed))
    ids = tuple(categories)
    pictures = {split: _pictures(root / split, files.pop(split), ids, tell) for split in splits}
    images = [picture.path for split in pictures.values() for picture in split]
    return assemble(
        root,
        "coco",
        fingerprint=fingerprint(root, images=images, annotations=paths.values()),
        classes=tuple(categories.values()),
        splits=train,
        val_split=val,
        train=tuple(picture for split in train for picture in pictures[split]),
        val=pictures[val],
        category_ids=ids,
        notes=dropped.notes(),
        max_val_images=max_val_images,
        tell=tell,
    )


def _file(root: Path, split: str) -> Path:
    path = root / ANNOTATIONS / f"{INSTANCES}{split}.json"
    for needed, folder in ((path.parent, True), (path, False), (root / split, True)):
        if not (needed.is_dir() if folder else needed.is_file()):
            raise wrong_layout(
                root,
                layout="COCO",
                looked_for=LOOKED_FOR,
                first_wrong=needed,
                fix="pass the folder that contains annotations and the image folders with --data",
                folder=folder,
                fits=lambda other: any(_splits(other)),
                advice=lambda: advice.other_splits(_splits(root)) or arrange.advice(root, "coco"),
            )
    return path


def _splits(root: Path) -> list[str]:
    """Name the splits of which the annotations and a folder are there."""
    files = (root / ANNOTATIONS).glob(f"{INSTANCES}*.json")
    return [split for file in files if (root / (split := file.stem.removeprefix(INSTANCES))).is_dir()]


def _read(path: Path, dropped: Dropped, masks: bool, tell: Tell) -> CocoFile:
    file = CocoFile(path, dropped, masks=masks)
    takers = {"images": file.add_image, "annotations": file.add_annotation, "categories": file.add_category}
    read_lists(path, takers, tell)
    file.check_references(tell)
    return file


def _pictures(folder: Path, file: CocoFile, categories: Sequence[int], tell: Tell) -> tuple[Picture, ...]:
    """Read the images of a split, in the order of their ids."""
    there = {each.name for each in folder.iterdir()}
    labels = {identity: label for label, identity in enumerate(categories)}
    pictures = []
    for identity, rows in file.by_image(labels):
        try:
            pictures.append(_picture(folder, file, identity, rows, labels, there))
        except DataError as problem:
            tell(problem)
    return tuple(pictures)


def _picture(
    folder: Path, file: CocoFile, identity: int, rows: Sequence[int], labels: Mapping[int, int], there: set[str]
) -> Picture:
    """Read an image and its objects, which are these rows of the annotations' columns."""
    name, width, height, entry = file.images[identity]
    if not is_plain_name(name):
        raise DataError(
            f"images[{entry}] in {file.path} names a file outside its folder", seen=repr(name), allowed=f"a file in {folder}"
        )
    if name not in there:
        raise DataError(
            f"{folder / name} is missing", seen=f"images[{entry}] in {file.path}", fix="add the image or remove its entry"
        )
    for row in rows if file.with_masks else ():
        mask = file.masks[row]
        if isinstance(mask, dict) and mask["size"] != [height, width]:
            where = f"annotations[{file.entries[row]}] in {file.path}"
            raise DataError(
                f"{where} has a run-length encoding of another size",
                seen=mask["size"],
                allowed=f"its image's, [{height}, {width}]",
            )
    measures = np.array([file.measures_of(row) for row in rows], dtype=np.float64).reshape(-1, AREA + 1)
    # Sums in float32, as in Detectron2's conversion of a single box.
    boxes = measures[:, BOX].astype(np.float32)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    classes = np.array([labels[file.categories_of[row]] for row in rows], dtype=np.int64)
    crowd = np.array([file.crowd[row] for row in rows], dtype=bool)
    easy = np.zeros(len(rows), dtype=bool)
    masks = tuple(file.masks[row] for row in rows) if file.with_masks else None
    return Picture(folder / name, identity, width, height, corners, classes, easy, crowd, masks, measures)
