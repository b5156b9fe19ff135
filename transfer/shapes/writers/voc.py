"""The VOC layout of the generated data."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from transfer.datasets.writing import Corners, lines, voc_xml
from transfer.shapes import contours
from transfer.shapes.scenes import Scene
from transfer.shapes.writers.files import Sample, write


class Voc:
    """`voc/VOC2007` and `voc/VOC2012` with XML annotations, whose boxes count pixels from 1 and include the last one."""

    def __init__(self, root: Path, classes: Sequence[str], train: int) -> None:
        """Prepare the writer; `train`: number of training scenes, of which VOC2007 gets the first half."""
        self._root = root / "voc"
        self._classes = classes
        self._train = train
        self._lists: dict[tuple[str, str], list[str]] = {}

    def add(self, sample: Sample) -> None:
        """Write a picture and its XML into the folder of its year."""
        year, part, number = self._home(sample)
        name = f"{number:06d}"
        folder = self._root / year
        write(folder / "JPEGImages" / f"{name}.jpg", sample.jpeg)
        height, width = sample.scene.instances.shape
        write(
            folder / "Annotations" / f"{name}.xml",
            voc_xml(year, f"{name}.jpg", (width, height), _objects(sample.scene, self._classes)),
        )
        self._lists.setdefault((year, part), []).append(name)

    def finish(self) -> None:
        """Write the lists of names, and the classes in the order of their labels."""
        for (year, part), names in self._lists.items():
            write(self._root / year / "ImageSets" / "Main" / f"{part}.txt", lines(names))
        write(self._root / "classes.txt", lines(self._classes))

    def _home(self, sample: Sample) -> tuple[str, str, int]:
        """Return the year, the split and the number of a scene."""
        if sample.split == "val":
            return "VOC2007", "test", self._train + sample.index + 1
        return ("VOC2007" if sample.index < self._train // 2 else "VOC2012"), "trainval", sample.index + 1


def _objects(scene: Scene, classes: Sequence[str]) -> Iterator[tuple[dict[str, object], Corners]]:
    height, width = scene.instances.shape
    for index, label in enumerate(scene.labels):
        x, y, wide, high = contours.box(scene.instances == index + 1)
        cut_off = x == 0 or y == 0 or x + wide == width or y + high == height
        said = {"name": classes[label], "pose": "Unspecified", "truncated": int(cut_off)}
        said |= {"occluded": int(scene.occluded[index]), "difficult": 0}
        yield said, (x + 1, y + 1, x + wide, y + high)
