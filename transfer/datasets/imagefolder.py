"""The image-folder layout: a training and a validation split, each whatever `pretrain.images.stores` reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.core.settings import digest
from pretrain.images import classes as choosing
from pretrain.images import imageset
from pretrain.images.stores import shards
from transfer.datasets import Tell, stop
from transfer.record import Data


@dataclass(frozen=True)
class ClassificationData:
    """A classification data set: images with one label each."""

    train: imageset.ImageSet
    """Training images."""
    val: imageset.ImageSet
    """Validation images, of the same classes."""
    ref: Data
    """Description of the data for the record."""
    notes: tuple[str, ...] = ()
    """What was seen beside the images and is not read."""


def read(
    root: Path,
    *,
    classes: float | Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
    tell: Tell = stop,
) -> ClassificationData:
    """Read both splits.

    Args:
        root: Folder of the splits, or a path, glob or range that names shards.
        classes: Class folders to read, or the fraction of them to draw; None: all.
        labels: Class folder → label; None: the folders' names are the labels.
        seed: Seed of the draw.
        tell: Called with the error for classes that one split lacks; raises it by default.

    Raises:
        DataError: For a wrong layout, an empty or missing class folder, splits with different classes, or a class
            without a label.
    """
    chosen = partial(choosing.draw_classes, fraction=classes, seed=seed) if isinstance(classes, float) else classes
    train = imageset.read(root, "train", chosen)
    val = imageset.read(root, "val", None if classes is None else train.classes)
    if train.classes != val.classes:
        differing = sorted(set(train.classes) ^ set(val.classes))
        tell(
            DataError(
                f"train and val of {root} have different classes",
                seen=f"{len(train.classes)} and {len(val.classes)}; in one only: {differing[:4]}",
                allowed="the same class folders in both",
                fix="remove or add the class folders named above",
            )
        )
    part = len(train.classes) < train.folders
    if labels is not None:
        train, val = choosing.relabelled(train, labels), choosing.relabelled(val, labels)
    fingerprint = digest([train.fingerprint(), val.fingerprint()])
    ref = Data(
        name=shards.title(root),
        layout="imagefolder",
        fingerprint=fingerprint,
        train=len(train),
        val=len(val),
        classes=len(train.classes),
        chosen_from=train.folders if part else None,
    )
    return ClassificationData(train, val, ref, (*train.notes, *val.notes))
