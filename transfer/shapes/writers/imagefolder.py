"""The image-folder layout of the generated data."""

from collections.abc import Sequence
from pathlib import Path

from transfer.shapes.writers.files import Sample, jpeg, write


class ImageFolder:
    """`imagenet/SPLIT/CLASS/NUMBER.jpg`: the crop around the object in focus, and its class."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        self._root = root / "imagenet"
        self._classes = classes

    def add(self, sample: Sample) -> None:
        """Write a crop into its class folder."""
        folder = self._root / sample.split / self._classes[sample.scene.focus]
        write(folder / f"{sample.index + 1:06d}.jpg", jpeg(sample.scene.crop))

    def finish(self) -> None:
        """Write nothing: the folders are the annotation."""
