"""Label Studio's COCO export: `result.json` and `images/`."""

from pathlib import Path

from transfer.arrange.cocojson import looks_like_coco, read_sources, sources_in
from transfer.arrange.folder import Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export
from transfer.arrange.naming import Named


def recognise(glance: Glance) -> bool:
    """Tell whether `result.json` holds COCO's annotations."""
    return looks_like_coco(glance, "result.json")


def read(root: Path, given: Named | None) -> Export:
    """Read the file; names that begin with the server's folders mean the images of `images/`."""
    folder = Folder(root)
    return read_sources(folder, sources_in(folder))
