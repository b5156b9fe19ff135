"""The VOC layout: `VOC2007` with lists, annotations and images, and `classes.txt`; validation images are its test split."""

from pathlib import Path

from transfer.arrange.folder import TRAIN, VAL
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import file_names
from transfer.arrange.placing import Place
from transfer.arrange.placing import write as put
from transfer.datasets.writing import lines, voc_xml

HOLDS = ("objects",)
YEAR = "VOC2007"
LISTS = {"trainval": TRAIN, "test": VAL}


def write(export: Export, root: Path, target: Path, place: Place) -> list[str]:
    """Write both splits."""
    home, names = target / YEAR, file_names(item.image for item in export.items)
    for item in export.items:
        name = names[item.image]
        image = f"{name}{Path(item.image).suffix}"
        place(root / item.image, home / "JPEGImages" / image)
        put(home / "Annotations" / f"{name}.xml", _xml(item, image, export))
    for listing, split in LISTS.items():
        put(
            home / "ImageSets" / "Main" / f"{listing}.txt",
            lines(names[each.image] for each in export.items if each.split == split),
        )
    put(target / "classes.txt", lines(export.classes))
    masks = sum(thing.mask is not None for item in export.items for thing in item.things)
    return [f"{masks} masks left out: the VOC layout has boxes alone"] if masks else []


def _xml(item: Item, image: str, export: Export) -> bytes:
    assert item.size is not None, "objects come with their image's size"
    objects = []
    for thing in item.things:
        if thing.crowd:
            export.dropped.add("crowd regions, which the VOC layout lacks,", item.image)
            continue
        left, top, right, bottom = thing.box
        corners = tuple(f"{value:.10g}" for value in (left + 1, top + 1, right, bottom))
        objects.append(
            ({"name": thing.name, "difficult": int(thing.difficult)}, (corners[0], corners[1], corners[2], corners[3]))
        )
    return voc_xml(YEAR, image, item.size, objects)
