"""Image folders and zips of class folders, with a training and a validation split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.core.settings import digest
from pretrain.images import classes as choosing
from pretrain.images import imageset
from transfer.datasets import Tell, stop
from transfer.record import Data


@dataclass(frozen=True)
class ClassificationData:
    """Images with one label each."""

    train: imageset.ImageSet
    val: imageset.ImageSet
    ref: Data


def read(
    root: Path,
    *,
    classes: float | Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
    tell: Tell = stop,
) -> ClassificationData:
    """Read `root/{train,val}` or `root/{train,val}.zip`.

    Args:
        root: Folder of the splits.
        classes: Class folders to read, or the share of them to draw; all of them without it.
        labels: Class folder → label, where labels are not the folders' names.
        seed: Of the share.
        tell: What is told of classes that one split lacks.

    Raises:
        DataError: For a wrong layout, an empty or missing class folder, splits with different classes, or a class
            without a label.
    """
    if isinstance(classes, float):
        classes = choosing.draw_classes(imageset.class_folders(root, "train"), classes, seed)
    train, val = imageset.read(root, "train", classes), imageset.read(root, "val", classes)
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
        name=root.resolve().name,
        layout="imagefolder",
        fingerprint=fingerprint,
        train=len(train),
        val=len(val),
        classes=len(train.classes),
        chosen_from=train.folders if part else None,
    )
    return ClassificationData(train, val, ref)
