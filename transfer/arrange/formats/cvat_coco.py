"""CVAT's COCO export: `annotations/instances_SUBSET.json`, where the subset is `default` unless tasks have one."""

from pathlib import Path

from transfer.arrange.cocojson import read_sources, sources_in
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export
from transfer.arrange.naming import Named


def recognise(glance: Glance) -> bool:
    """Tell whether the subset is CVAT's default; files of other subsets are read as COCO's under other names."""
    return glance.has("annotations/instances_default.json")


def read(root: Path, given: Named | None) -> Export:
    """Read every subset. CVAT marks each mask as a crowd region; they are read as single objects."""
    folder = Folder(root)
    return read_sources(folder, sources_in(folder), masks_are_crowds=True)
