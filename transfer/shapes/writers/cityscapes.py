"""The Cityscapes layout of the generated data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transfer.datasets.writing import classes_json
from transfer.shapes.writers.files import Sample, png, write


class Cityscapes:
    """`cityscapes/{leftImg8bit,gtFine}/SPLIT/shapes/*.png`: label maps of 0, the background, and 1, 2, …, the classes."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        self._root = root / "cityscapes"
        self._classes = classes

    def add(self, sample: Sample) -> None:
        """Write a picture and its label map."""
        stem = f"shapes_{sample.index + 1:06d}_000019"
        picture = self._root / "leftImg8bit" / sample.split / "shapes" / f"{stem}_leftImg8bit.png"
        labels = self._root / "gtFine" / sample.split / "shapes" / f"{stem}_gtFine_labelTrainIds.png"
        write(picture, png(sample.scene.image))
        lookup = np.array([0, *(label + 1 for label in sample.scene.labels)], dtype=np.uint8)
        write(labels, png(lookup[sample.scene.instances]))

    def finish(self) -> None:
        """Write the meaning of the label maps' values."""
        write(self._root / "classes.json", classes_json(("background", *self._classes)))
