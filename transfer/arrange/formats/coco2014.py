"""COCO's 2014 download: the layout itself under the names of another year."""

from pathlib import Path

from transfer.arrange.glance import Glance
from transfer.arrange.items import Links
from transfer.arrange.naming import Named

SPLITS = {"train2014": "train2017", "val2014": "val2017"}


def recognise(glance: Glance) -> bool:
    """Tell whether both splits are there, with their images, and the layout's own are not."""
    needed = [path for split in SPLITS for path in (split, f"annotations/instances_{split}.json")]
    return all(map(glance.has, needed)) and not any(map(glance.has, SPLITS.values()))


def read(root: Path, given: Named | None) -> Links:
    """Link images and annotations under the layout's names."""
    links = {new: root / old for old, new in SPLITS.items()}
    links |= {f"annotations/instances_{new}.json": root / f"annotations/instances_{old}.json" for old, new in SPLITS.items()}
    return Links("coco", links, ("the 2014 splits bear the names of 2017: their numbers aren't those of 2017",))
