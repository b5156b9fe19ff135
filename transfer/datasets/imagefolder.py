"""Image folders and zips of class folders, with a training and a validation split."""

from dataclasses import dataclass
from pathlib import Path

from pretrain import data
from pretrain.errors import DataError
from pretrain.settings import digest
from transfer.record import Data


@dataclass(frozen=True)
class ClassificationData:
    """Images with one label each."""

    train: data.ImageSet
    val: data.ImageSet
    ref: Data


def read(root: Path) -> ClassificationData:
    """Read `root/{train,val}` or `root/{train,val}.zip`.

    Raises:
        DataError: For a wrong layout, an empty class folder, or splits with different classes.
    """
    train, val = data.read(root, "train"), data.read(root, "val")
    if train.classes != val.classes:
        differing = sorted(set(train.classes) ^ set(val.classes))
        raise DataError(
            f"train and val of {root} have different classes",
            seen=f"{len(train.classes)} and {len(val.classes)}; in one only: {differing[:4]}",
            allowed="the same class folders in both",
            fix="remove or add the class folders named above",
        )
    fingerprint = digest([train.fingerprint(), val.fingerprint()])
    ref = Data(
        name=root.resolve().name,
        layout="imagefolder",
        fingerprint=fingerprint,
        train=len(train),
        val=len(val),
        classes=len(train.classes),
    )
    return ClassificationData(train, val, ref)
