"""CVAT's Cityscapes export: ids of one's own labels in `*_gtFine_labelIds.png`, in the order of `label_colors.txt`."""

from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.folder import Folder, split_of
from transfer.arrange.formats.masks import exported
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named, table
from transfer.datasets.cityscapes import IMAGE_SUFFIX, LABELS, RAW_LABEL_SUFFIX
from transfer.datasets.cocofile import Dropped

COLOURS = "label_colors.txt"


def recognise(glance: Glance) -> bool:
    """Tell whether Cityscapes' label maps lie beside a list of colours."""
    return glance.has(COLOURS) and glance.has(LABELS)


def read(root: Path, given: Named | None) -> Export:
    """Read the pairs; the first label of the list has the id 0.

    Raises:
        DataError: If there is no pair, or an id has no class.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    for path in folder.ending(RAW_LABEL_SUFFIX.lower()):
        name = path.rpartition("/")[2].removesuffix(RAW_LABEL_SUFFIX)
        near = path.rpartition("/")[0].replace(LABELS, "leftImg8bit", 1)
        image = folder.image(f"{name}{IMAGE_SUFFIX}", near) or folder.image(name, near)
        if image is None:
            dropped.add("label maps without an image", path)
        else:
            items.append(Item(image, None, split_of(path), label_map=path))
    if not items:
        raise DataError(
            f"no label map of {root} has an image",
            allowed=f"*{IMAGE_SUFFIX} for *{RAW_LABEL_SUFFIX}",
            fix="export the images, too",
        )
    found = given or table(root / COLOURS)
    return exported(folder, items, Named(found.names), dropped)
