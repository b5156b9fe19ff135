"""CVAT's CamVid export: `label_colors.txt`, images in `SUBSET/` and label maps in `SUBSETannot/`."""

from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.folder import SPLIT_NAMES, Folder
from transfer.arrange.formats.masks import exported
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named, table
from transfer.datasets.cocofile import Dropped

COLOURS, ANNOTATED = "label_colors.txt", "annot"


def recognise(glance: Glance) -> bool:
    """Tell whether a folder of label maps lies beside the list of colours."""
    return glance.has(COLOURS) and glance.has(f"*{ANNOTATED}/*.png")


def read(root: Path, given: Named | None) -> Export:
    """Read the pairs of every subset.

    Raises:
        DataError: If there is no pair, or a colour has no class.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    for path in folder.ending(".png"):
        above, _, name = path.rpartition("/")
        if not above.endswith(ANNOTATED):
            continue
        subset = above.removesuffix(ANNOTATED)
        stem = name.removesuffix(".png")
        image = next((each for end in ("png", "jpg", "jpeg", "JPG") if folder.has(each := f"{subset}/{stem}.{end}")), None)
        if image is None:
            dropped.add("label maps without an image", path)
        else:
            items.append(Item(image, None, SPLIT_NAMES.get(subset.lower()), label_map=path))
    if not items:
        raise DataError(
            f"no label map of {root} has an image",
            allowed="default/NAME.jpg for defaultannot/NAME.png",
            fix="export the images, too",
        )
    return exported(folder, items, given or table(root / COLOURS), dropped)
