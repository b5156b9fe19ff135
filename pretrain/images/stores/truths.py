"""Validation images in no class folders, with the classes that a file says, such as those of ImageNet's development kit."""

from collections import Counter
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.images import ground_truth
from pretrain.images.stores import UNLABELLED, Found, folders, listed, zips
from pretrain.images.unread import Unread

SPLIT = "val"
LOOSE = frozenset({"images"})
"""Folders in a split that are no class folders where a file says the classes: Tiny ImageNet's."""


def find(root: Path, split: str) -> listed.Listed | None:
    """Find validation images without class folders and the file that says their classes.

    They are named as if they lay in class folders, so that they are the same images once somebody has sorted them.

    Raises:
        DataError: If the file can't be read, or doesn't say the class of each image.
    """
    file = ground_truth.find(root, root / split) if split == SPLIT and root.is_dir() else None
    found = None if file is None else _loose(root, split)
    if file is None or found is None:
        return None
    truth = ground_truth.read(file)
    stems = [Path(name).stem for name in found.names]
    classes = [truth(stem) for stem in stems]
    missing = [name.removeprefix(f"{UNLABELLED}/") for name, cls in zip(found.names, classes, strict=True) if cls is None]
    if missing:
        raise DataError(
            f"{file} doesn't say the class of {len(missing):,} of the {len(stems):,} images in {root / split}",
            seen=", ".join(missing[:4]) + ", …" * (len(missing) > 4),
            allowed="a class for each image",
            fix="take the file of these images, or sort them into folders of their classes",
        )
    names = [f"{cls}/{Path(name).name}" for cls, name in zip(classes, found.names, strict=True)]
    others = found.unread.endings - Counter([file.suffix] if file.parent == root / split else [])
    unread = Unread(endings=others, remarks=[f"the images of {split} have the classes of {file.name}"])
    source = found.members.source(0)
    return listed.in_order(source, sorted({cls for cls in classes if cls is not None}), names, found.members, unread=unread)


def _loose(root: Path, split: str) -> Found | None:
    """List the images of a split that has no class folders; None if it has, or holds no image."""
    folder = root / split
    if folder.is_dir():
        store = folders.Folder(folder)
        if not LOOSE.issuperset(store.classes) and store.holds_classes():
            return None
        pool: folders.Pool | zips.Zip | None = folders.Pool(folder)
    else:
        pool = zips.find(root, split)
    return None if pool is None or pool.classes != [UNLABELLED] else pool.images([UNLABELLED])
