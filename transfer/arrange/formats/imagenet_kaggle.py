"""ImageNet as Kaggle's competition has it: validation images in one folder, their classes in `LOC_val_solution.csv`."""

from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.glance import Glance
from transfer.arrange.items import Links
from transfer.arrange.naming import Named
from transfer.arrange.values import rows_of
from transfer.datasets import is_plain_name

SOLUTION = "LOC_val_solution.csv"
IMAGES = "ILSVRC/Data/CLS-LOC"
SUFFIX = ".JPEG"


def recognise(glance: Glance) -> bool:
    """Tell whether the solution lies beside the images."""
    return glance.has(SOLUTION) and glance.has(f"{IMAGES}/val")


def read(root: Path, given: Named | None) -> Links:
    """Link the training folder, and each validation image into its class's folder.

    Raises:
        DataError: If the solution can't be read, or an image is missing.
    """
    train, val = root / IMAGES / "train", root / IMAGES / "val"
    if not train.is_dir():
        raise DataError(f"{train} is missing", seen=f"{val} and {SOLUTION}", fix="unpack the whole download")
    links: dict[str, Path] = {"train": train}
    there = {path.name for path in val.iterdir()}
    for number, row in enumerate(rows_of(root / SOLUTION), start=1):
        if row[0] == "ImageId":
            continue
        label = row[1].split()[0] if len(row) > 1 and row[1].split() else ""
        name = f"{row[0]}{SUFFIX}"
        if not is_plain_name(label) or not is_plain_name(name):
            raise DataError(f"row {number} of {root / SOLUTION} is not ImageId, PredictionString", seen=row[:2])
        if name not in there:
            raise DataError(f"{val / name} is missing", seen=f"row {number} of {SOLUTION}", fix="unpack the whole download")
        links[f"val/{label}/{name}"] = val / name
    return Links("imagefolder", links)
