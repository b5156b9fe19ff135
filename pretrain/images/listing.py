"""Listing a split: the class folders of a folder or zip, and the images in those that are wanted."""

import os
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.images import zips

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
"""Endings of image files, in lower case."""

Choice = Collection[str] | Callable[[list[str]], Collection[str]] | None
"""Class folders to list, or a function that chooses them from the sorted names of all; None: all."""


@dataclass(frozen=True)
class Listing:
    """The images of a split, not checked yet."""

    source: Path
    """A folder, or a zip."""
    inner: str
    """Folder inside the zip that all class folders are in, with a slash at its end; empty if none."""
    found: list[str]
    """All class folders, sorted."""
    wanted: list[str]
    """The class folders asked for, sorted."""
    names: list[str]
    """`class folder/image` in the wanted class folders, sorted by class folder, then by name."""
    members: zips.Members | None
    """The same images in the zip; None for a folder."""


def list_split(root: Path, split: str, classes: Choice) -> Listing:
    """List `root/split` (class folders) or `root/split.zip` (class folders inside); unwanted folders aren't looked into.

    Raises:
        DataError: If neither is there, the zip can't be read, or a class folder asked for is missing.
    """
    folder, archive = root / split, root / f"{split}.zip"
    if folder.is_dir():
        found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
        wanted = _wanted(found, classes, folder)
        return Listing(folder, "", found, wanted, sorted(_images_below(folder, wanted), key=_by_class), None)
    if archive.is_file():
        everything, inner = zips.listing(archive, _is_image)
        found = sorted({name.split("/", 1)[0] for name in everything})
        wanted = _wanted(found, classes, archive)
        images = _images_of(everything, set(wanted))
        members = zips.Members.of(archive, list(images.values())) if images else None
        return Listing(archive, inner, found, wanted, list(images), members)
    raise _wrong_layout(root, split)


def _wanted(found: list[str], classes: Choice, source: Path) -> list[str]:
    """Choose the class folders.

    Raises:
        DataError: If one is missing; names the first ones.
    """
    chosen = classes(found) if callable(classes) else found if classes is None else classes
    missing = sorted(set(chosen) - set(found))
    if missing:
        first = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
        raise DataError(
            f"{len(missing)} of the {len(chosen)} classes asked for are not in {source}: {first}",
            seen=f"{len(found)} class folders",
            allowed="every class of the list as a folder, in train and in val",
            fix="correct the list, or pass the data that has these classes with --data",
        )
    return sorted(set(chosen))


def _is_image(name: str) -> bool:
    base = name.rpartition("/")[2]
    return os.path.splitext(base)[1].lower() in SUFFIXES and not base.startswith(".")


def _by_class(name: str) -> tuple[str, str]:
    """Sort by class folder, then by name: as plain text `a-b/` would precede `a/`."""
    return name.split("/", 1)[0], name


def _images_below(folder: Path, wanted: list[str]) -> list[str]:
    names: list[str] = []
    for cls in wanted:
        for where, _, files in os.walk(folder / cls):
            below = Path(where).relative_to(folder).as_posix()
            names.extend(f"{below}/{file}" for file in files if _is_image(file))
    return names


def _images_of(everything: dict[str, zipfile.ZipInfo], wanted: set[str]) -> dict[str, zipfile.ZipInfo]:
    images = [name for name in everything if name.split("/", 1)[0] in wanted and _is_image(name)]
    return {name: everything[name] for name in sorted(images, key=_by_class)}


def _wrong_layout(root: Path, split: str) -> DataError:
    if not root.exists():
        seen = "nothing: the folder does not exist"
    elif root.is_file():
        seen = "a file"
    else:
        seen = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "an empty folder"
    return DataError(
        f"no images to read: {root / split} is missing",
        seen=seen,
        allowed=f"{split}/CLASS/IMAGE.jpg, or {split}.zip with CLASS/IMAGE.jpg inside",
        fix="pass the folder that holds train/ and val/ with --data",
    )
