"""Roboflow's COCO export: `SPLIT/_annotations.coco.json` beside the images of `train`, `valid` and `test`."""

from pathlib import Path

from transfer.arrange.cocojson import Source, read_sources
from transfer.arrange.folder import Folder, split_of
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export
from transfer.arrange.naming import Named

NAME = "_annotations.coco.json"


def recognise(glance: Glance) -> bool:
    """Tell whether a folder has such a file."""
    return glance.has(NAME, f"*/{NAME}")


def read(root: Path, given: Named | None) -> Export:
    """Read every split. Category 0, which stands for the whole project, is left out where no object has it."""
    folder = Folder(root)
    files = [path for path in folder.ending(NAME) if path.rpartition("/")[2] == NAME]
    return read_sources(folder, [Source(path, path.rpartition("/")[0], split_of(path)) for path in files])
