"""What to do with a folder that holds data in another form: splits of other names, folders in other places."""

import os
from collections.abc import Collection
from pathlib import Path

from pretrain.core.layout import near

PAIRS = (
    *(("trainval", "test"), ("train", "val"), ("train", "valid"), ("train", "validation"), ("train", "test"), ("train", "dev")),
    *(("training", "validation"), ("training", "test"), ("Train", "Val"), ("Train", "Test")),
)
"""How the names of a split to train on and of one to evaluate on differ, the preferred pair first."""


def other_splits(names: Collection[str]) -> str | None:
    """Say how to read splits of other names; None if no two of them belong together."""
    for first, second in PAIRS:
        for train in sorted(names):
            val = train.replace(first, second)
            if first in train and val in names:
                return f"the splits here have other names: --set 'train_splits=[{train}]' --set val_split={val}"
    return None


def elsewhere(root: Path, folder: Path) -> str | None:
    """Say how to link a folder that the root lacks and that lies deeper; None if it isn't there."""
    if folder.parent != root or os.path.lexists(folder):
        return None
    other = near(root, lambda each: (each / folder.name).is_dir(), above=False)
    return None if other is None else f"link it to its place: ln -s {(other / folder.name).absolute()} {folder}"
