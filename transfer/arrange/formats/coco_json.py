"""COCO's annotations under other names: `annotations/*.json`, or JSON files beside the images or above them."""

from pathlib import Path

from transfer.arrange.cocojson import looks_like_coco, read_sources, sources_in
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export
from transfer.arrange.naming import Named

OWN = [f"annotations/instances_{split}2017.json" for split in ("train", "val")]
"""The layout itself, which needs no arranging."""


def is_layout(glance: Glance) -> bool:
    """Tell whether this is the layout itself."""
    return all(map(glance.has, OWN))


def recognise(glance: Glance) -> bool:
    """Tell whether a JSON file of COCO's is there, but not the layout itself."""
    return not is_layout(glance) and looks_like_coco(glance, "annotations/*.json", "*.json", "*/*.json")


def read(root: Path, given: Named | None) -> Export:
    """Read the files; their names, or else their folders, say the split."""
    folder = Folder(root)
    return read_sources(folder, sources_in(folder))
