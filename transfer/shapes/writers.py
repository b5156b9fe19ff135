"""Writes scenes in the four layouts, one class each, with `add` for a scene and `finish` for the files about all of them.

Index i of a split has the same picture everywhere: COCO's image id, VOC's file name and Cityscapes' frame number count from
1, the training split first in VOC, where 2007 test is the validation split and 2007 and 2012 trainval halve the other.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import cv2
import numpy as np

from transfer.shapes import contours, scenes

JPEG_QUALITY = 95
PNG_EFFORT = 1
"""Of 9. Noise hardly compresses, and label maps do at any effort."""
IGNORE = 255
"""Label map value that is not scored. The generated maps know every pixel, so it does not occur."""


@dataclass(frozen=True)
class Sample:
    """One scene on its way to disk."""

    split: str
    """`train` or `val`."""
    index: int
    """From 0, within the split."""
    scene: scenes.Scene
    """What to write."""
    jpeg: bytes
    """The encoded picture, the same in the layouts that use JPEG."""


class Layout(Protocol):
    """What writes one layout."""

    def add(self, sample: Sample) -> None:
        """Write what belongs to one scene."""

    def finish(self) -> None:
        """Write what belongs to all of them."""


class ImageFolder:
    """`imagenet/SPLIT/CLASS/NUMBER.jpg`: the crop around the object in focus, and its class."""

    def __init__(self, root: Path) -> None:
        self._root = root / "imagenet"

    def add(self, sample: Sample) -> None:
        """Write a crop into its class folder."""
        folder = self._root / sample.split / scenes.CLASSES[sample.scene.focus]
        _write(folder / f"{sample.index + 1:06d}.jpg", jpeg(sample.scene.crop))

    def finish(self) -> None:
        """The folders say it all."""


class Coco:
    """`coco/SPLIT2017/*.jpg` and `coco/annotations/instances_SPLIT2017.json`; category ids count from 1."""

    def __init__(self, root: Path) -> None:
        self._root = root / "coco"
        self._images: dict[str, list[dict[str, Any]]] = {}
        self._annotations: dict[str, list[dict[str, Any]]] = {}

    def add(self, sample: Sample) -> None:
        """Write a picture and note what is in it."""
        image_id = sample.index + 1
        height, width = sample.scene.instances.shape
        name = f"{image_id:012d}.jpg"
        _write(self._root / f"{sample.split}2017" / name, sample.jpeg)
        image = {"id": image_id, "file_name": name, "height": height, "width": width}
        self._images.setdefault(sample.split, []).append(image)
        annotations = self._annotations.setdefault(sample.split, [])
        for position, label in enumerate(sample.scene.labels):
            mask = sample.scene.instances == position + 1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": list(contours.box(mask)),
                    "area": int(mask.sum()),
                    "segmentation": contours.polygons(mask),
                    "iscrowd": 0,
                }
            )

    def finish(self) -> None:
        """Write the annotations."""
        categories = [
            {"id": label + 1, "name": name, "supercategory": name.split("-")[1]} for label, name in enumerate(scenes.CLASSES)
        ]
        for split, images in self._images.items():
            content = {"images": images, "annotations": self._annotations[split], "categories": categories}
            text = json.dumps(content, separators=(",", ":"))
            _write(self._root / "annotations" / f"instances_{split}2017.json", text.encode())


class Voc:
    """`voc/VOC2007` and `voc/VOC2012` with XML annotations, whose boxes count pixels from 1 and include the last one."""

    def __init__(self, root: Path, train: int) -> None:
        self._root = root / "voc"
        self._train = train
        self._lists: dict[tuple[str, str], list[str]] = {}

    def add(self, sample: Sample) -> None:
        """Write a picture and its XML into the year it belongs to."""
        year, part, number = self._place(sample)
        name = f"{number:06d}"
        folder = self._root / year
        _write(folder / "JPEGImages" / f"{name}.jpg", sample.jpeg)
        tree = _voc_tree(sample.scene, name, year)
        _write(folder / "Annotations" / f"{name}.xml", ElementTree.tostring(tree))
        self._lists.setdefault((year, part), []).append(name)

    def finish(self) -> None:
        """Write the lists of names, and the classes in their order."""
        for (year, part), names in self._lists.items():
            _write(self._root / year / "ImageSets" / "Main" / f"{part}.txt", "".join(f"{name}\n" for name in names).encode())
        _write(self._root / "classes.txt", "".join(f"{name}\n" for name in scenes.CLASSES).encode())

    def _place(self, sample: Sample) -> tuple[str, str, int]:
        if sample.split == "val":
            return "VOC2007", "test", self._train + sample.index + 1
        return ("VOC2007" if sample.index < self._train // 2 else "VOC2012"), "trainval", sample.index + 1


class Cityscapes:
    """`cityscapes/{leftImg8bit,gtFine}/SPLIT/shapes/*.png`: label maps with 0 for the background and 1 … 20 for the classes."""

    def __init__(self, root: Path) -> None:
        self._root = root / "cityscapes"

    def add(self, sample: Sample) -> None:
        """Write a picture and its label map."""
        stem = f"shapes_{sample.index + 1:06d}_000019"
        picture = self._root / "leftImg8bit" / sample.split / "shapes" / f"{stem}_leftImg8bit.png"
        labels = self._root / "gtFine" / sample.split / "shapes" / f"{stem}_gtFine_labelTrainIds.png"
        _write(picture, png(sample.scene.image))
        lookup = np.array([0, *(label + 1 for label in sample.scene.labels)], dtype=np.uint8)
        _write(labels, png(lookup[sample.scene.instances]))

    def finish(self) -> None:
        """Write what the values of the label maps mean."""
        names = ("background", *scenes.CLASSES)
        content = {
            "num_classes": len(names),
            "ignore": IGNORE,
            "present_trainIds": {str(k): name for k, name in enumerate(names)},
        }
        _write(self._root / "classes.json", (json.dumps(content, indent=1) + "\n").encode())


def jpeg(image: scenes.Image) -> bytes:
    """A picture, H×W×3 in BGR, as JPEG."""
    return _encoded(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def png(image: scenes.Image) -> bytes:
    """A picture, H×W×3 in BGR, or a map, H×W, as PNG."""
    return _encoded(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT])


def _encoded(kind: str, image: scenes.Image, options: list[int]) -> bytes:
    done, buffer = cv2.imencode(kind, image, options)
    assert done, f"OpenCV has no encoder for {kind}"
    return buffer.tobytes()


def _voc_tree(scene: scenes.Scene, name: str, year: str) -> ElementTree.Element:
    height, width = scene.instances.shape
    root = ElementTree.Element("annotation")
    _leaves(root, folder=year, filename=f"{name}.jpg", segmented=0)
    _leaves(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    for position, label in enumerate(scene.labels):
        x, y, wide, high = contours.box(scene.instances == position + 1)
        cut_off = x == 0 or y == 0 or x + wide == width or y + high == height
        item = ElementTree.SubElement(root, "object")
        occluded = int(scene.occluded[position])
        _leaves(item, name=scenes.CLASSES[label], pose="Unspecified", truncated=int(cut_off), occluded=occluded, difficult=0)
        _leaves(ElementTree.SubElement(item, "bndbox"), xmin=x + 1, ymin=y + 1, xmax=x + wide, ymax=y + high)
    return root


def _leaves(parent: ElementTree.Element, **values: object) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = str(value)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
