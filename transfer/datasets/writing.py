"""What the layouts' own files look like, for those who write them: the generated data, and exports of other tools."""

import json
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree

from transfer.datasets.segmentation import IGNORE

Corners = tuple[object, object, object, object]
"""xmin, ymin, xmax and ymax: pixels counted from 1, the last one included."""


def lines(names: Iterable[str]) -> bytes:
    """Write a list of names, one a line, as VOC's lists and `classes.txt` are."""
    return "".join(f"{name}\n" for name in names).encode()


def voc_xml(
    folder: str, filename: str, size: tuple[int, int], objects: Iterable[tuple[Mapping[str, object], Corners]]
) -> bytes:
    """Write VOC's annotation of an image.

    Args:
        folder: Year's folder, such as VOC2007.
        filename: Name of the image.
        size: Width and height in pixels.
        objects: For each object what is said of it, its name first, and its corners.
    """
    width, height = size
    root = ElementTree.Element("annotation")
    _leaves(root, folder=folder, filename=filename, segmented=0)
    _leaves(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    for said, (left, top, right, bottom) in objects:
        item = ElementTree.SubElement(root, "object")
        _leaves(item, **said)
        _leaves(ElementTree.SubElement(item, "bndbox"), xmin=left, ymin=top, xmax=right, ymax=bottom)
    return ElementTree.tostring(root)


def classes_json(names: Sequence[str]) -> bytes:
    """Write the meaning of the label maps' values in the Cityscapes layout."""
    present = {str(number): name for number, name in enumerate(names)}
    content = {"num_classes": len(names), "ignore": IGNORE, "present_trainIds": present}
    return (json.dumps(content, indent=1) + "\n").encode()


def _leaves(parent: ElementTree.Element, **values: object) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = str(value)
