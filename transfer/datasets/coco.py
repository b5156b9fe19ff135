"""The COCO layout as Detectron2 expects it: `annotations/instances_{train,val}2017.json`, `train2017`, `val2017`.

The classes are the file's categories in the order of their ids, whatever these are.

A file is read once, entry by entry, into columns of numbers; only these and the masks, as arrays, stay in memory.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pretrain.core.access import other_locale
from pretrain.core.errors import DataError
from pretrain.core.layout import wrong_layout
from pretrain.images.names import RENAMED, Files, is_outside
from transfer import arrange
from transfer.datasets import Tell, advice, fingerprint, shown, stop
from transfer.datasets.assemble import assemble
from transfer.datasets.cocofile import AREA, BOX, CocoFile, Image
from transfer.datasets.jsonlists import read_lists
from transfer.datasets.objects import DetectionData, Picture, image_size
from transfer.datasets.remarks import Dropped, Remarks

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
    dropped, remarks = Dropped(), Remarks()
    files = {split: _read(CocoFile(path, dropped, remarks, masks=masks), tell) for split, path in paths.items()}
    categories = files[val].named_categories()
    for split in train:
        if files[split].named_categories() != categories:
            seen = _differing(files[split].named_categories(), categories)
            fix = f"write the same list in both, or both anew, by names: bench data arrange {root} NEW_FOLDER"
            wrong, allowed = f"{paths[split]} and {paths[val]} name other categories", "the same ids and names in both"
            tell(DataError(wrong, seen=seen, allowed=allowed, fix=fix))
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
        notes=(*dropped.notes(), *remarks.notes()),
        max_val_images=max_val_images,
        tell=tell,
    )


def _differing(train: Mapping[int, str], val: Mapping[int, str]) -> str:
    """Show the first id that means something else in both."""
    first = next(each for each in sorted({*train, *val}) if train.get(each) != val.get(each))
    return f"the id {first} is {shown(train.get(first))} in the first, {shown(val.get(first))} in the second"


def _file(root: Path, split: str) -> Path:
    path = root / ANNOTATIONS / f"{INSTANCES}{split}.json"
    for needed, folder in ((path.parent, True), (path, False), (root / split, True)):
        if not (needed.is_dir() if folder else needed.is_file()):
            raise wrong_layout(
                root,
                layout="COCO",
                looked_for=LOOKED_FOR,
                first_wrong=needed,
                fix=_in_its_place(root, needed),
                folder=folder,
                fits=lambda other: any(_splits(other)),
                advice=lambda: _advice(root, split),
            )
    return path


def _in_its_place(root: Path, needed: Path) -> str:
    """Say what to do about something that is missing, where nothing better is known."""
    others = [root / ANNOTATIONS, *(root / split for split in ("train2017", "val2017"))]
    if not any(each.is_dir() for each in others):
        return "pass the folder that contains annotations and the image folders with --data"
    return f"put {needed.name} into {needed.parent}; what of other tools `bench data arrange` reads is in docs/data.md"


def _advice(root: Path, split: str) -> str | None:
    return advice.other_splits(_splits(root)) or arrange.advice(root, "coco") or advice.elsewhere(root, root / split)


def _splits(root: Path) -> list[str]:
    """Name the splits of which the annotations and a folder are there."""
    files = (root / ANNOTATIONS).glob(f"{INSTANCES}*.json")
    return [split for file in files if (root / (split := file.stem.removeprefix(INSTANCES))).is_dir()]


def _read(file: CocoFile, tell: Tell) -> CocoFile:
    takers = {"images": file.add_image, "annotations": file.add_annotation, "categories": file.add_category}
    read_lists(file.path, takers, tell)
    file.check_references(tell)
    return file


def _pictures(folder: Path, file: CocoFile, categories: Sequence[int], tell: Tell) -> tuple[Picture, ...]:
    """Read the images of a split, in the order of their ids."""
    there = Files(folder)
    labels = {identity: label for label, identity in enumerate(categories)}
    pictures = []
    for identity, rows in file.by_image(labels):
        try:
            pictures.append(_picture(there, file, identity, rows, labels))
        except DataError as problem:
            tell(problem)
    return tuple(pictures)


def _path(there: Files, file: CocoFile, image: Image) -> Path:
    """Find an image's file.

    Raises:
        DataError: If it is not there, or can't be looked at.
    """
    where = f"images[{image.entry}] in {file.path}"
    found, own = there.find(image.name), f"{there.folder.name}/"
    if found is None and image.name.startswith(own):  # a path from the folder above
        found = there.find(image.name.removeprefix(own))
    if found is not None:
        if found != image.name:
            file.remarks.add(f"images {RENAMED}", f"{image.name!r}, which is {found!r}")
        elif image.by_url:
            file.remarks.add("images without a file_name found by their coco_url", where)
        return there.path(found)
    near = there.near(image.name)
    fix = None if near is None else f"write {near!r}, which is there, or move that file"
    if "\\" in image.name:
        fix = f"{fix or 'put the image there'}; a backslash, as in Windows paths, counts as /"
    if there.is_folder(image.name):
        raise DataError(f"{there.folder / image.name} is a folder", seen=where, allowed="an image")
    if is_outside(image.name):
        allowed = f"a file in {there.folder}"
        raise DataError(f"{where} names a file outside its folder", seen=shown(image.name), allowed=allowed, fix=fix)
    if image.by_url:
        wrong = f"{where} has no 'file_name', and the file that its 'coco_url' names is missing"
        raise DataError(wrong, seen=there.folder / image.name, fix=fix or "write the file's name as 'file_name'")
    fix = other_locale() or fix or "add the image or remove its entry"
    raise DataError(f"{there.folder / image.name} is missing", seen=where, fix=fix)


def _picture(there: Files, file: CocoFile, identity: int, rows: Sequence[int], labels: Mapping[int, int]) -> Picture:
    """Read an image and its objects, which are these rows of the annotations' columns."""
    image = file.images[identity]
    path, width, height = _path(there, file, image), image.width, image.height
    if not (width and height):
        actual = image_size(path)
        width, height = width or actual[0], height or actual[1]
        file.remarks.add("images without a size in the file, which is taken from the image", f"images[{image.entry}]")
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
    return Picture(path, identity, width, height, corners, classes, easy, crowd, masks, measures)
