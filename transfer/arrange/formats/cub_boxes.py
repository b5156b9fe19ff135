"""The boxes of CUB-200-2011, and data in its form: `bounding_boxes.txt`, `NUMBER X Y WIDTH HEIGHT`, one for each image."""

from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import Folder
from transfer.arrange.formats import cub
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import number
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size

BOXES = "bounding_boxes.txt"
FIELDS = 4


def recognise(glance: Glance) -> bool:
    """Tell whether the lists are there, with that of boxes."""
    return cub.recognise(glance) and glance.has(BOXES)


def read(root: Path, given: Named | None) -> Export:
    """Read the one object of each image, of the image's class.

    Raises:
        DataError: If a list can't be read, or lacks an image, a class or a box.
    """
    folder, dropped = Folder(root), Dropped()
    boxes, items = cub.columns(folder, BOXES), list[Item]()
    lines = cub.listed(folder, dropped)
    for line in lines:
        fields = boxes.get(line.number, "").split()
        if len(fields) != FIELDS:
            raise DataError(f"{BOXES} has no box of image {line.number}", seen=shown(fields), allowed="x y width height")
        left, top, width, height = (number(field, f"the box of image {line.number} in {BOXES}") for field in fields)
        collector = Collector(line.image, dropped)
        collector.box(line.label, (left, top, left + width, top + height))
        items.append(Item(line.image, image_size(folder.path(line.image)), line.split, tuple(collector.things)))
    return Export("objects", tuple(items), tuple(sorted({line.label for line in lines})), dropped)
