"""The image-folder layout: `SPLIT/CLASS/` with links to the images."""

from collections.abc import Iterable
from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.items import Export
from transfer.arrange.naming import file_names
from transfer.arrange.placing import Place
from transfer.datasets import is_plain_name

HOLDS = ("classes",)


def write(export: Export, root: Path, target: Path, place: Place) -> list[str]:
    """Write both splits.

    Raises:
        DataError: If a class can't be the name of a folder.
    """
    names = file_names(item.image for item in export.items)
    check_folders(export.classes)
    for item in export.items:
        assert item.split is not None, "images were divided"
        assert item.label is not None, "and come with their class"
        place(root / item.image, target / item.split / item.label / f"{names[item.image]}{Path(item.image).suffix}")
    return []


def check_folders(classes: Iterable[str]) -> None:
    """Check that every class can be the name of a folder.

    Raises:
        DataError: If one can't.
    """
    for label in classes:
        if not is_plain_name(label) or label.startswith("."):
            raise DataError("a class can't be the name of a folder", seen=repr(label), fix="rename it where it comes from")
