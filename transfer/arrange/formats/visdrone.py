"""VisDrone DET: `annotations/NAME.txt`, a line `left,top,width,height,score,category,truncation,occlusion` for each object."""

from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.collect import Collector
from transfer.arrange.folder import SPLIT_NAMES, Folder
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import lines_of, number, whole
from transfer.datasets import shown
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size

CLASSES = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
"""Categories 1 to 10; 0 marks regions that the benchmark ignores, 11 other objects."""
IGNORED, OTHERS = 0, 11
FIELDS = 8


def recognise(glance: Glance) -> bool:
    """Tell whether a text file of annotations has rows of eight whole numbers."""
    head = (
        glance.head("annotations/*.txt", "*/annotations/*.txt", "*/*/annotations/*.txt").partition("\n")[0].strip().strip(",")
    )
    return len(head.split(",")) == FIELDS and all(part.strip().lstrip("-").isdigit() for part in head.split(","))


def read(root: Path, given: Named | None) -> Export:
    """Read the objects of categories 1 to 10 that count in the benchmark.

    Raises:
        DataError: If a line isn't such a row.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    for path in folder.ending(".txt"):
        above, _, name = path.rpartition("/")
        if above.rpartition("/")[2] != "annotations":
            continue
        image = folder.image(name[: -len(".txt")], f"{above.removesuffix('annotations')}images")
        if image is None:
            dropped.add("images that aren't there", path)
            continue
        collector = Collector(path, dropped)
        for line_number, line in enumerate(lines_of(folder.path(path)), start=1):
            _add(line, collector, f"line {line_number} of {folder.path(path)}")
        items.append(Item(image, image_size(folder.path(image)), _split(path), tuple(collector.things)))
    return Export("objects", tuple(items), CLASSES, dropped)


def _add(line: str, collector: Collector, where: str) -> None:
    fields = line.rstrip(",").split(",")
    if len(fields) != FIELDS:
        raise DataError(
            f"{where} is no row of VisDrone's", seen=shown(line), allowed=f"{FIELDS} numbers with commas between them"
        )
    left, top, width, height = (number(field, where) for field in fields[:4])
    score, category = whole(fields[4], where), whole(fields[5], where)
    if category not in range(OTHERS + 1):
        raise DataError(f"{where} has an unknown category", seen=category, allowed=f"0 to {OTHERS}")
    if category in (IGNORED, OTHERS):
        collector.drop("ignored regions" if category == IGNORED else "objects of the category 'others'")
    elif score == 0:
        collector.drop("objects that the benchmark ignores (score 0)")
    else:
        collector.box(CLASSES[category - 1], (left, top, left + width, top + height))


def _split(path: str) -> str | None:
    """The last word of a folder such as `VisDrone2019-DET-train`, or a folder named after a split."""
    words = [part for folder in path.lower().split("/")[:-1] for part in folder.replace("_", "-").split("-")]
    return next((SPLIT_NAMES[each] for each in words if each in SPLIT_NAMES), None)
