"""One of VOC's annotation files, checked and parsed."""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pretrain.core.errors import DataError
from pretrain.core.texts import decoded, read
from transfer.datasets import shown
from transfer.datasets.flags import flag
from transfer.datasets.objects import FARTHEST, LONGEST_SIDE

LARGEST_XML = 2**22
"""Bytes of an annotation at most; VOC's own have up to 10 kB."""
DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,80}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
"""The encoding in an XML declaration."""
ROOT, BOX = "annotation", "bndbox"
"""The outermost element, and an object's box."""
SIDES = ("xmin", "ymin", "xmax", "ymax")
"""Elements of a box, in the order of its corners."""


@dataclass(frozen=True)
class Annotation:
    """The content of one XML file with M objects."""

    path: Path
    """The XML file."""
    image: Path
    """Its image."""
    size: tuple[int, int] | None
    """Width and height in pixels; None if the file doesn't say."""
    names: tuple[str, ...]
    """M class names."""
    corners: tuple[tuple[float, float, float, float], ...]
    """M boxes as written: left, top, right, bottom in pixels, counted from 1 and inclusive."""
    difficult: tuple[bool, ...]
    """M flags of objects that VOC's metric ignores."""


def read_annotation(path: Path, image: Path) -> Annotation:
    """Read the annotation of an image.

    Raises:
        DataError: If it can't be read, or an object lacks its name or a box of four finite numbers, or is difficult neither
            way; names the object.
    """
    return annotation_of(parse(path), path, image)


def annotation_of(tree: Element, path: Path, image: Path) -> Annotation:
    """Read the annotation of an image from the root element of its file.

    Raises:
        DataError: If it is of another kind, or an object lacks its name or a box of four finite numbers; names the object.
    """
    _require_objects(tree, path)
    objects = [(f"object {number} in {path}", each) for number, each in enumerate(tree.findall("object"), start=1)]
    return Annotation(
        path,
        image,
        _size(tree),
        tuple(_text(where, each, "name") for where, each in objects),
        tuple(_corners(where, each) for where, each in objects),
        tuple(_difficult(where, each) for where, each in objects),
    )


def _require_objects(tree: Element, path: Path) -> None:
    """Refuse what would read as an image without objects: another kind of file, or boxes outside its objects."""
    objects = tree.findall("object")
    if tree.tag != ROOT and not objects:
        raise DataError(f"{path} is no annotation of VOC's", seen=f"<{tree.tag}>", allowed=f"<{ROOT}>")
    lost = next((each for each in tree if each.tag != "object" and any(part.tag.lower() == BOX for part in each.iter())), None)
    if lost is not None:
        allowed = f"<{ROOT}><object><name>…</name><{BOX}>…"
        raise DataError(
            f"{path} has a box that is no <object>'s of <{tree.tag}>", seen=f"a box in <{lost.tag}>", allowed=allowed
        )


def parse(path: Path, most: int = LARGEST_XML) -> Element:
    """Parse the root element of a file of `most` bytes, without the names of XML name spaces.

    A document type is refused: its entities can expand without limit.

    Raises:
        DataError: If it can't be read, or is larger.
    """
    try:
        root: Element = fromstring(_xml(path, most), forbid_dtd=True)
    except DefusedXmlException:
        raise DataError(f"{path} declares a document type", allowed="plain elements", fix="remove the DOCTYPE") from None
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path} is not XML that can be read", seen=error) from None
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def _xml(path: Path, most: int) -> str:
    """Read the text of an XML file by its byte order mark or its declaration: expat itself knows no multi-byte encodings."""
    data = read(path, most)
    if not data.strip():
        raise DataError(f"{path} is empty", allowed="an annotation, without objects if the image has none", fix="copy it again")
    declared = DECLARED.match(data)
    return decoded(data, path, declared=declared[1].decode() if declared else None)


def _size(tree: Element) -> tuple[int, int] | None:
    """Read width and height; None if they are absent, zero or no size, as some tools write them."""
    try:
        width, height = (int(tree.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if 0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE else None


def _text(where: str, element: Element, name: str) -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise DataError(f"{where} has no <{name}>")
    return text


def _difficult(where: str, element: Element) -> bool:
    text = element.findtext("difficult")
    difficult = flag(text)
    if difficult is None:
        raise DataError(f"<difficult> of {where} is neither 0 nor 1", seen=shown(text), allowed="0 or 1, false or true")
    return difficult


def _corners(where: str, element: Element) -> tuple[float, float, float, float]:
    if (count := len(element.findall(BOX))) > 1:
        raise DataError(f"{where} has {count} boxes", allowed=f"one <{BOX}>", fix="write each as an object of its own")
    texts = [_text(where, element, f"{BOX}/{side}") for side in SIDES]
    try:
        left, top, right, bottom = map(float, texts)
    except ValueError:
        raise DataError(f"the box of {where} is not four numbers", seen=shown(texts), allowed="such as 12 or 12.5") from None
    if not np.isfinite([left, top, right, bottom]).all():
        raise DataError(f"the box of {where} is not finite", seen=shown(texts))
    if max(map(abs, (left, top, right, bottom))) > FARTHEST:
        raise DataError(f"the box of {where} is too far away", seen=shown(texts), allowed=f"at most {FARTHEST:,.0f} pixels")
    return left, top, right, bottom
