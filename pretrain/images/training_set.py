"""The images of a pre-training run with what is derived from them once: labels and fingerprint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pretrain.images.imageset import ImageSet
from pretrain.images.labels import assign_labels, labelled_fraction
from pretrain.provenance import Drawn


@dataclass(frozen=True)
class TrainingSet:
    """Images, the labels that the run uses, and the images' fingerprint."""

    images: ImageSet
    """All training images."""
    labels: Sequence[int]
    """(N,) label of each image, or `pretrain.images.labels.UNLABELLED`."""
    fingerprint: str
    """16 hex digits that identify the images, see `ImageSet.fingerprint`."""
    drawn: Drawn | None = None
    """What their classes were drawn from; None where they weren't."""

    @classmethod
    def of(
        cls,
        images: ImageSet,
        *,
        fraction: float | None,
        names: Sequence[str] | None,
        seed: int,
        drawn: Drawn | None = None,
    ) -> Self:
        """Choose the images that keep their label, and read every file's size for the fingerprint.

        Args:
            images: All training images.
            fraction: Fraction of each class's images that keep their label; None where `names` lists them.
            names: Images that keep their label, as `pretrain.images.labels.listed` reads them.
            seed: Seed of the choice.
            drawn: What their classes were drawn from; None where they weren't.

        Raises:
            DataError: As `pretrain.images.labels.assign_labels` does.
        """
        labels = assign_labels(images, fraction, names, seed)
        return cls(images, labels, images.fingerprint(), drawn)

    @property
    def labelled(self) -> float:
        """Fraction of the images that keep their label, in [0, 1]."""
        return labelled_fraction(self.labels)
