"""Roboflow's semantic segmentation masks: `SPLIT/NAME.jpg`, `SPLIT/NAME_mask.png`, and `SPLIT/_classes.csv` with the ids."""

from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.folder import Folder, split_of
from transfer.arrange.formats.masks import ENDINGS, exported
from transfer.arrange.glance import Glance
from transfer.arrange.items import Export, Item
from transfer.arrange.naming import Named
from transfer.arrange.values import rows_of, whole, word
from transfer.datasets.cocofile import Dropped

TABLE, MASK = "_classes.csv", "_mask.png"


def recognise(glance: Glance) -> bool:
    """Tell whether a table of ids lies beside label maps."""
    return glance.has(f"*/{TABLE}", TABLE) and glance.has(f"*/*{MASK}", f"*{MASK}")


def read(root: Path, given: Named | None) -> Export:
    """Read the pairs; the table names the ids.

    Raises:
        DataError: If there is no pair, the tables differ, or an id has no class.
    """
    folder, dropped, items = Folder(root), Dropped(), list[Item]()
    for path in folder.ending(MASK):
        stem = path[: -len(MASK)]
        image = next((found for end in ENDINGS if folder.has(found := f"{stem}.{end}")), None)
        if image is None:
            dropped.add("label maps without an image", path)
        else:
            items.append(Item(image, None, split_of(image), label_map=path))
    if not items:
        raise DataError(
            f"no label map of {root} has an image", allowed=f"NAME.jpg for NAME{MASK}", fix="export the images, too"
        )
    tables = {path: _names(folder.path(path)) for path in folder.ending(TABLE)}
    if len(set(tables.values())) > 1:
        raise DataError(f"the tables {TABLE} of {root} differ", seen=", ".join(tables), allowed="the same classes in each")
    return exported(folder, items, given or Named(next(iter(tables.values()))), dropped)


def _names(path: Path) -> tuple[str, ...]:
    """Read `Pixel Value, Class` in the order of the values, which count from 0."""
    rows = rows_of(path)[1:]
    found = {whole(row[0], f"an id in {path}"): word(row[1] if len(row) > 1 else None, f"a class in {path}") for row in rows}
    if sorted(found) != list(range(len(rows))) or not rows:
        raise DataError(f"{path} doesn't number its classes from 0", seen=sorted(found)[:8], allowed="0, 1, 2, …")
    return tuple(found[number] for number in range(len(rows)))
