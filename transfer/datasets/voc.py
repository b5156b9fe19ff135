"""The PASCAL VOC layout as Detectron2 expects it: `VOC2007/{Annotations,ImageSets/Main,JPEGImages}` and `VOC2012`.

The classes are the lines of `classes.txt` beside those folders, or else the sorted names in the annotations
(for the real VOC these are its 20 classes in their usual order).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from PIL import Image, UnidentifiedImageError

from pretrain.errors import DataError
from transfer.datasets import fingerprint, wrong_layout
from transfer.datasets.detection import DetectionData, Picture, with_objects
from transfer.record import Data

LOOKED_FOR = "VOC2007/{Annotations,ImageSets/Main,JPEGImages}; for VOC07+12 also VOC2012"


@dataclass(frozen=True)
class _Annotation:
    """What one XML file says; corners as written, counted from 1 and inclusive."""

    path: Path
    image: Path
    size: tuple[int, int] | None
    names: tuple[str, ...]
    corners: tuple[tuple[float, float, float, float], ...]
    difficult: tuple[bool, ...]


def read(
    root: Path, *, train: Sequence[str] = ("VOC2007/trainval",), val: str = "VOC2007/test", max_val_images: int | None = None
) -> DetectionData:
    """Read the splits, each `FOLDER/NAME`.

    Args:
        root: The folder described above.
        train: Splits to train on.
        val: Split to evaluate on.
        max_val_images: Keep so many of its images, evenly spaced; None: all.

    Raises:
        DataError: For another layout, or an annotation that can't be read; names the path.
    """
    training = [annotation for split in train for annotation in _split(root, split)]
    validation = _split(root, val)
    names = root / "classes.txt"
    classes = _listed(names) if names.is_file() else _named([*training, *validation])
    dropped: list[str] = []
    pictures = tuple(_picture(annotation, classes, dropped) for annotation in training)
    kept, held_out = with_objects(pictures), tuple(_picture(annotation, classes, dropped) for annotation in validation)
    if not kept:
        raise DataError(
            f"no objects to train on in {root}", seen=f"{len(pictures)} images of {', '.join(train)}", fix=LOOKED_FOR
        )
    ref = Data(
        name=root.resolve().name,
        layout="voc",
        fingerprint=_fingerprint(root, (*train, val), [*training, *validation]),
        train=len(kept),
        val=len(held_out),
        classes=len(classes),
    )
    corners = [box for annotation in (*training, *validation) for box in annotation.corners]
    thin = sum(left == right or top == bottom for left, top, right, bottom in corners)
    notes = _notes(dropped, thin, without=len(pictures) - len(kept))
    return DetectionData(ref, classes, kept, held_out, notes=notes).limited(max_val_images)


def _split(root: Path, split: str) -> list[_Annotation]:
    folder, name = split.split("/")
    listing = root / folder / "ImageSets" / "Main" / f"{name}.txt"
    places = (root / folder, root / folder / "Annotations", root / folder / "JPEGImages", listing)
    for place in places:
        if not place.exists():
            raise wrong_layout(root, layout="VOC", looked_for=LOOKED_FOR, first_wrong=place, fix=_fix(folder))
    identities = [line.split()[0] for line in _lines(listing)]
    if not identities:
        raise DataError(f"{listing} lists no image", fix="write one file stem per line")
    images = {path.stem: path for path in sorted((root / folder / "JPEGImages").iterdir())}
    return [_annotation(root / folder / "Annotations" / f"{identity}.xml", images, listing) for identity in identities]


def _fix(folder: str) -> str:
    if folder == "VOC2012":
        return "put VOC2012 beside VOC2007, or use --task voc07, which needs VOC2007 only"
    return "pass the folder that contains VOC2007 with --data"


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"can't read {path}", seen=error) from None


def _annotation(path: Path, images: dict[str, Path], listing: Path) -> _Annotation:
    if not path.is_file():
        raise DataError(f"{path} is missing", seen=f"{path.stem!r} in {listing}", fix="add the annotation or remove the line")
    if path.stem not in images:
        raise DataError(
            f"no image for {path.stem!r} in {listing}", allowed=f"{path.parent.parent / 'JPEGImages' / path.stem}.jpg"
        )
    tree = _parse(path)
    objects = tree.findall("object")
    return _Annotation(
        path,
        images[path.stem],
        _size(tree),
        tuple(_text(path, each, "name") for each in objects),
        tuple(_corners(path, each) for each in objects),
        tuple((each.findtext("difficult") or "0").strip() == "1" for each in objects),
    )


def _parse(path: Path) -> Element:
    """The root element. A document type is refused: an annotation needs none, and its entities can expand without limit."""
    try:
        root: Element = fromstring(path.read_bytes(), forbid_dtd=True)
    except DefusedXmlException:
        raise DataError(f"{path} declares a document type", allowed="plain elements", fix="remove the DOCTYPE") from None
    except (OSError, ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path} is not XML that can be read", seen=error) from None
    return root


def _size(tree: Element) -> tuple[int, int] | None:
    """Width and height; None where they are absent or zero, as some tools write them."""
    try:
        width, height = (int(tree.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _text(path: Path, element: Element, name: str) -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise DataError(f"an object in {path} has no <{name}>")
    return text


def _corners(path: Path, element: Element) -> tuple[float, float, float, float]:
    texts = [_text(path, element, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = map(float, texts)
    except ValueError:
        raise DataError(f"a box in {path} is not four numbers", seen=texts) from None
    if not np.isfinite([left, top, right, bottom]).all():
        raise DataError(f"a box in {path} is not finite", seen=texts)
    return left, top, right, bottom


def _listed(path: Path) -> tuple[str, ...]:
    classes = tuple(_lines(path))
    if not classes or len(set(classes)) != len(classes):
        raise DataError(f"{path} must name each class once", seen=f"{len(classes)} lines, {len(set(classes))} names")
    return classes


def _named(annotations: Iterable[_Annotation]) -> tuple[str, ...]:
    return tuple(sorted({name for annotation in annotations for name in annotation.names}))


def _picture(annotation: _Annotation, classes: tuple[str, ...], dropped: list[str]) -> Picture:
    unknown = sorted(set(annotation.names) - set(classes))
    if unknown:
        raise DataError.unknown(f"class in {annotation.path}:", unknown[0], classes)
    width, height = annotation.size or _image_size(annotation.image)
    # Detectron2: pixel indices counted from 1 and inclusive → continuous coordinates.
    boxes = np.array(annotation.corners, dtype=np.float32).reshape(-1, 4) - np.array([1, 1, 0, 0], dtype=np.float32)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    # NOTE: Detectron2 swaps such corners in training and counts the object as missed in its metric.
    dropped.extend([annotation.path.stem] * int((~whole).sum()))
    labels = np.array([classes.index(name) for name in annotation.names], dtype=np.int64)
    difficult = np.array(annotation.difficult, dtype=bool)
    crowd = np.zeros(int(whole.sum()), dtype=bool)
    stem = annotation.path.stem
    return Picture(annotation.image, stem, width, height, boxes[whole], labels[whole], difficult[whole], crowd, None)


def _image_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"can't read the image {path}", seen=error) from None


def _fingerprint(root: Path, splits: Sequence[str], annotations: list[_Annotation]) -> str:
    lists = {root / folder / "ImageSets" / "Main" / f"{name}.txt" for folder, name in (split.split("/") for split in splits)}
    names = {root / "classes.txt"} if (root / "classes.txt").is_file() else set()
    texts = {annotation.path for annotation in annotations} | lists | names
    return fingerprint(root, images={annotation.image for annotation in annotations}, annotations=texts)


def _notes(dropped: list[str], thin: int, *, without: int) -> tuple[str, ...]:
    notes = []
    if dropped:
        notes.append(f"{len(dropped)} boxes without area left out, the first in {dropped[0]}")
    if thin:
        notes.append(f"{thin} boxes are one pixel thin (equal corners); kept, as in Detectron2")
    if without:
        notes.append(f"{without} training images without objects left out")
    return tuple(notes)
