"""The VOC layout of the generated data."""

from pathlib import Path
from xml.etree import ElementTree

from transfer.shapes import contours
from transfer.shapes.classes import CLASSES
from transfer.shapes.scenes import Scene
from transfer.shapes.writers.files import Sample, write


class Voc:
    """`voc/VOC2007` and `voc/VOC2012` with XML annotations, whose boxes count pixels from 1 and include the last one."""

    def __init__(self, root: Path, train: int) -> None:
        """Prepare the writer; `train`: number of training scenes, of which VOC2007 gets the first half."""
        self._root = root / "voc"
        self._train = train
        self._lists: dict[tuple[str, str], list[str]] = {}

    def add(self, sample: Sample) -> None:
        """Write a picture and its XML into the folder of its year."""
        year, part, number = self._home(sample)
        name = f"{number:06d}"
        folder = self._root / year
        write(folder / "JPEGImages" / f"{name}.jpg", sample.jpeg)
        tree = _voc_tree(sample.scene, name, year)
        write(folder / "Annotations" / f"{name}.xml", ElementTree.tostring(tree))
        self._lists.setdefault((year, part), []).append(name)

    def finish(self) -> None:
        """Write the lists of names, and the classes in the order of their labels."""
        for (year, part), names in self._lists.items():
            write(self._root / year / "ImageSets" / "Main" / f"{part}.txt", "".join(f"{name}\n" for name in names).encode())
        write(self._root / "classes.txt", "".join(f"{name}\n" for name in CLASSES).encode())

    def _home(self, sample: Sample) -> tuple[str, str, int]:
        """Return the year, the split and the number of a scene."""
        if sample.split == "val":
            return "VOC2007", "test", self._train + sample.index + 1
        return ("VOC2007" if sample.index < self._train // 2 else "VOC2012"), "trainval", sample.index + 1


def _voc_tree(scene: Scene, name: str, year: str) -> ElementTree.Element:
    height, width = scene.instances.shape
    root = ElementTree.Element("annotation")
    _leaves(root, folder=year, filename=f"{name}.jpg", segmented=0)
    _leaves(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    for index, label in enumerate(scene.labels):
        x, y, wide, high = contours.box(scene.instances == index + 1)
        cut_off = x == 0 or y == 0 or x + wide == width or y + high == height
        item = ElementTree.SubElement(root, "object")
        occluded = int(scene.occluded[index])
        _leaves(item, name=CLASSES[label], pose="Unspecified", truncated=int(cut_off), occluded=occluded, difficult=0)
        _leaves(ElementTree.SubElement(item, "bndbox"), xmin=x + 1, ymin=y + 1, xmax=x + wide, ymax=y + high)
    return root


def _leaves(parent: ElementTree.Element, **values: object) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = str(value)
