"""Make Cityscapes' training ids, which the download lacks, by the data set's own package, `cityscapesscripts`.

The table from label ids to training ids and the drawing of polygons are that package's; what goes into them is checked here.
"""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from pretrain.core.atomic import replacing
from pretrain.core.errors import DataError
from pretrain.core.journal import Progress
from pretrain.core.texts import read_text
from pretrain.images.decode import BROKEN, opened, undecodable
from transfer.datasets import Tell
from transfer.datasets.cityscapes import (
    CLASSES,
    CLASSES_FILE,
    POLYGON_SUFFIX,
    RAW_LABEL_SUFFIX,
    SPLITS,
    folders_of,
    name_own_labels,
    own_labels,
    stems_of,
)
from transfer.datasets.objects import LONGEST_SIDE
from transfer.datasets.truths import few

PACKAGE = "cityscapesscripts"
LARGEST_POLYGONS = 2**26
"""Largest polygon file, in bytes; Cityscapes' own have up to 500 kB."""

_Coordinate = Annotated[float, Field(ge=-LONGEST_SIDE, le=LONGEST_SIDE, allow_inf_nan=False)]
_Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]


class _Outline(BaseModel):
    label: str
    polygon: list[tuple[_Coordinate, _Coordinate]] = Field(min_length=2)
    deleted: bool = False


class _Polygons(BaseModel):
    """The content of a `*_gtFine_polygons.json`."""

    imgWidth: _Side  # noqa: N815
    imgHeight: _Side  # noqa: N815
    objects: list[_Outline]


def make(root: Path, tell: Tell, progress: Progress) -> int:
    """Make the training ids that are missing, from polygons or else from label ids; returns how many were made.

    Files that are there are never written again. A new one appears whole or not at all.

    Raises:
        DataError: If `cityscapesscripts` is missing, the data names classes of its own, or no label id is one of a class.
    """
    if (root / CLASSES_FILE).is_file():
        raise DataError(
            f"{root} has training ids of its own",
            seen=root / CLASSES_FILE,
            allowed="Cityscapes' own labels",
            fix="make the label maps with the classes of that file",
        )
    if own := own_labels(root):
        raise DataError(
            f"the label ids in {root} are labels of its own, not Cityscapes'",
            seen=own,
            allowed="label ids of Cityscapes' table, of which 7 is road",
            fix=name_own_labels(root),
        )
    draw, table = _package()
    missing = [label_map for split in SPLITS for label_map in _missing(root, split)]
    _require_a_class(root, [source for _, _, source in missing], table)
    made = 0
    for done, (image, target, source) in enumerate(missing, start=1):
        try:
            _write(target, _drawn(source, image, draw) if source.suffix == ".json" else _looked_up(source, table))
            made += 1
        except DataError as problem:
            tell(problem)
        progress("training ids", done, len(missing), {})
    return made


def _package() -> tuple[Callable[..., Image.Image], dict[int, int]]:
    """Import the package's drawing of label maps, and its table from label ids to training ids."""
    try:
        from cityscapesscripts.helpers.labels import labels
        from cityscapesscripts.preparation.json2labelImg import createLabelImage
    except ImportError as error:
        raise DataError(
            f"making training ids needs the package {PACKAGE}", seen=error, fix="pip install 'bench-transfer[cityscapes]'"
        ) from None
    return createLabelImage, {label.id: label.trainId for label in labels if label.id >= 0}


def _missing(root: Path, split: str) -> list[tuple[Path, Path, Path]]:
    """List the label maps to make: image, label map, and the file it is made from."""
    folders = folders_of(root, split)
    images, labels = root / folders.images, root / folders.labels
    if not labels.is_dir():
        return []
    stems = stems_of(images, folders.image_suffix)
    todo = dict.fromkeys(stems_of(labels, RAW_LABEL_SUFFIX), RAW_LABEL_SUFFIX)
    todo |= dict.fromkeys(stems_of(labels, POLYGON_SUFFIX), POLYGON_SUFFIX)
    found = [(*folders.pair(root, stem), labels / f"{stem}{suffix}") for stem, suffix in sorted(todo.items()) if stem in stems]
    return [(image, target, source) for image, target, source in found if not os.path.lexists(target)]


def _require_a_class(root: Path, sources: list[Path], table: dict[int, int]) -> None:
    """Refuse label ids of which Cityscapes' table ignores every one; looks no further than the first that it doesn't."""
    if not sources:
        return
    seen: set[int] = set()
    for source in sources:
        if source.suffix == ".json":
            return
        try:
            with Image.open(source) as ids:
                seen |= {number for number, count in enumerate(ids.histogram()) if count}
        except BROKEN:
            return  # said where it is looked up
        if any(table.get(number, 0) in range(len(CLASSES)) for number in seen):
            return
    raise DataError(
        f"no label id in {root} is one of a class of Cityscapes: every pixel would be ignored",
        seen=f"the ids {few(list(map(str, sorted(seen))))} in {len(sources)} label maps",
        allowed="label ids of Cityscapes' table, of which 7 is road",
        fix=f"if they are labels of your own: {name_own_labels(root)}",
    )


def _looked_up(source: Path, table: dict[int, int]) -> Image.Image:
    try:
        with opened(source, str(source)) as ids:
            if ids.mode != "L":
                raise DataError(f"{source} is not a label map", seen=f"a picture of mode {ids.mode}", allowed="mode L")
            unknown = [number for number, count in enumerate(ids.histogram()) if count and number not in table]
            if unknown:
                raise DataError(f"{source} has a label id out of range", seen=unknown[0], allowed=f"0 to {max(table)}")
            return ids.point([table.get(number, 0) for number in range(256)])
    except BROKEN as error:
        raise undecodable(str(source), error) from None


def _drawn(source: Path, image: Path, draw: Callable[..., Image.Image]) -> Image.Image:
    try:
        found = _Polygons.model_validate_json(read_text(source, LARGEST_POLYGONS))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"can't read the polygons in {source}", seen=f"{field}: {first['msg']}") from None
    with opened(image, str(image)) as picture:
        size = picture.size
    if size != (found.imgWidth, found.imgHeight):
        seen = f"{found.imgWidth} × {found.imgHeight}"
        raise DataError(f"{source} is for an image of another size", seen=seen, allowed=f"{size[0]} × {size[1]}")
    for number, outline in enumerate(found.objects):
        # The package ends the process for a label that it doesn't know.
        if not _is_known(outline.label):
            raise DataError(f"objects[{number}] in {source} has an unknown label", seen=repr(outline.label))
    annotation: Any = SimpleNamespace(imgWidth=size[0], imgHeight=size[1], objects=found.objects)
    return draw(annotation, "trainIds")


def _is_known(label: str) -> bool:
    from cityscapesscripts.helpers.labels import name2label

    return label in name2label or label.removesuffix("group") in name2label


def _write(target: Path, labels: Image.Image) -> None:
    try:
        with replacing(target) as file:
            labels.save(file, "PNG")
    except OSError as error:
        raise DataError(f"can't write {target}", seen=error, fix="make the training ids where you may write") from None
