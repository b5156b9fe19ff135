"""What to do with a folder that holds detection data in another form: splits of other names, or another tool's export."""

from collections.abc import Collection
from pathlib import Path

PAIRS = (
    *(("trainval", "test"), ("train", "val"), ("train", "valid"), ("train", "validation"), ("train", "test"), ("train", "dev")),
    *(("training", "validation"), ("training", "test"), ("Train", "Val"), ("Train", "Test")),
)
"""How the names of a split to train on and of one to evaluate on differ, the preferred pair first."""
EXPORTS = {
    "_annotations.coco.json": "Roboflow's export",
    "*/_annotations.coco.json": "Roboflow's export",
    "annotations/instances_default.json": "CVAT's export of one split",
    "*.xml": "VOC's annotations without lists",
    "*/*.xml": "VOC's annotations without lists",
}
"""What only an export has, as a pattern of paths → what it is."""


def other_splits(names: Collection[str]) -> str | None:
    """Say how to read splits of other names; None if no two of them belong together."""
    for first, second in PAIRS:
        for train in sorted(names):
            val = train.replace(first, second)
            if first in train and val in names:
                return f"the splits here have other names: --set 'train_splits=[{train}]' --set val_split={val}"
    return None


def export(root: Path) -> str | None:
    """Say of which tool's export a folder is, and that it must be arranged; None if of none that is known."""
    for pattern, name in EXPORTS.items():
        found = next(root.glob(pattern), None)
        if found is not None:
            return f"this is {name} ({found.relative_to(root)}): arrange its files as above"
    return None
