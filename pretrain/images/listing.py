"""Listing a split: its class folders, and the images in those that are wanted."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.core.layout import near, wrong_layout
from pretrain.images import stores
from pretrain.images.ground_truth import FILES
from pretrain.images.names import Names, renamed_note
from pretrain.images.stores import UNLABELLED, shards
from pretrain.images.stores.folders import Pool

SPLITS = ("train", "val")
OTHER_NAMES = {
    "train": ("training", "Train", "Training", "TRAIN"),
    "val": ("valid", "validation", "Val", "Validation", "VAL", "dev", "test", "Test"),
}
"""What others call the splits."""

Choice = Collection[str] | Callable[[list[str]], Collection[str]] | None
"""Class folders to list, or a function that chooses them from the sorted names of all; None: all."""


@dataclass(frozen=True)
class Listing:
    """The images of a split, not checked yet."""

    source: Path
    """What holds the images: a folder or an archive."""
    inner: str
    """Folder inside the archive that all class folders are in, with a slash at its end; empty if none."""
    found: list[str]
    """All class folders, in the order of the labels."""
    wanted: list[str]
    """The class folders asked for, in that order."""
    names: Sequence[str]
    """`class folder/image` in the wanted class folders, sorted by class folder, then by name."""
    members: stores.Members
    """The same images, to be read."""
    notes: tuple[str, ...]
    """What was seen and is not read."""
    fingerprint: str = ""
    """Fingerprint of names and sizes, where an index has it."""


def list_split(root: Path, split: str, classes: Choice, *, labelled: bool) -> Listing:
    """List what one of `pretrain.images.stores` holds of a split; unwanted class folders of a folder aren't looked into.

    Where there is no `train`, and no class is needed, all images below the root are taken.

    Raises:
        DataError: If none of them is there, an archive can't be read, a class folder asked for is missing, or the images have
            no classes and `labelled` asks for them.
    """
    store = stores.find(root, split)
    if store is None:
        problem = _wrong_layout(root, split)
        if split == SPLITS[1] or labelled or classes is not None or not _is_pool(root):
            raise problem
        store = Pool(root)
    if store.classes == [UNLABELLED] and (labelled or classes is not None):
        raise _without_classes(store, split)
    wanted, renamed = _wanted(store.classes, classes, store.source)
    found = store.images(wanted)
    notes = (*found.unread.notes(split), *renamed, *_beside(root, split, store.source))
    return Listing(store.source, store.inner, store.classes, wanted, found.names, found.members, notes, found.fingerprint)


def _beside(root: Path, split: str, source: Path) -> tuple[str, ...]:
    """Say which archives of a split lie beside its folder, or beside its zip, which goes before them."""
    names = [f"{split}{ending}" for ending in (".zip", ".tar", ".parquet")]
    goes_before = (root / split, root / names[0])
    if source not in goes_before:
        return ()
    others = ", ".join(name for name in names if (root / name).is_file() and root / name != source)
    return (f"{others} beside {source.name} not read: a folder goes before a zip, and that before others",) if others else ()


def _wanted(found: list[str], classes: Choice, source: Path) -> tuple[list[str], tuple[str, ...]]:
    """Choose the class folders; returns them, and a note on those whose names differ in form from the ones asked for.

    Raises:
        DataError: If one is missing; names the first ones.
    """
    chosen = classes(found) if callable(classes) else found if classes is None else classes
    names = Names(found)
    meant = {name: names.find(name) for name in chosen}
    missing = sorted(name for name, folder in meant.items() if folder is None)
    if missing:
        first = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
        raise DataError(
            f"{len(missing)} of the {len(chosen)} classes asked for are not in {source}: {first}",
            seen=f"{len(found)} class folders",
            allowed="every class of the list as a folder, in train and in val",
            fix="correct the list, or pass the data that has these classes with --data",
        )
    kept = set(meant.values())
    return [cls for cls in found if cls in kept], renamed_note("class folders", meant)


def _wrong_layout(root: Path, split: str) -> DataError:
    if not root.is_dir() and shards.named(str(root)):
        return shards.without_split(root, split)
    archive = root / f"{split}.zip"
    packed = os.path.lexists(archive) and not os.path.lexists(root / split)
    return wrong_layout(
        root,
        layout="image-folder",
        looked_for=f"{split}/CLASS/IMAGE.jpg, or {split}.zip with CLASS/IMAGE.jpg inside, or {split}-*.tar or .parquet,"
        " or CIFAR, MNIST or an .npz as they are published",
        first_wrong=archive if packed else root / split,
        folder=not packed,
        fix="pass the folder that holds train/ and val/ with --data",
        fits=holds_classes,
        advice=lambda: _other_name(root, split) or _not_sorted(root, split),
    )


def _is_pool(root: Path) -> bool:
    """Tell whether a folder without `train` holds images, and no part of it or place near it is a folder of splits."""
    names = {each for names in OTHER_NAMES.values() for each in names} | set(SPLITS)
    if not root.is_dir() or near(root, _holds_splits) is not None:
        return False
    return not any((root / name).exists() for name in names) and bool(Pool(root).classes)


def _without_classes(store: stores.Store, split: str) -> DataError:
    names = store.images([UNLABELLED]).names
    first = ", ".join(name.removeprefix(f"{UNLABELLED}/") for name in names[:3])
    return DataError(
        f"the {len(names):,} images in {store.source} lie there without class folders or labels",
        seen=first + ", …" * (len(names) > 3),
        allowed=f"{split}/CLASS/IMAGE.jpg: a folder for each class; in tars KEY.cls beside KEY.jpg, in tables a column label",
        fix="sort them into folders of their classes"
        + (", or label them: -1 stands for no label" if store.source.is_file() else "")
        + (f", or put beside {split}/ the file that says them: {', '.join(FILES)}" if split == "val" else "")
        + ("; --supervision self reads them as they are" if split == "train" else ""),
    )


def _holds_splits(root: Path) -> bool:
    return all(_has(root, split) for split in SPLITS)


def holds_classes(root: Path) -> bool:
    """Tell whether a folder holds splits that aren't folders of images alone, such as a class folder with splits inside."""
    return _holds_splits(root) and any(not (root / split).is_dir() or _has_folders(root / split) for split in SPLITS)


def _has_folders(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_dir() and stores.is_class(entry.name) for entry in entries)


def _has(root: Path, split: str) -> bool:
    return (root / split).is_dir() or (root / f"{split}.zip").is_file() or shards.has(root, split)


def _other_name(root: Path, split: str) -> str | None:
    """Say how to give a split that is there under another name its own."""
    other = next((name for name in OTHER_NAMES.get(split, ()) if (root / name).is_dir()), None)
    return None if other is None else f"link it under its name here: ln -s {other} {root / split}"


def _not_sorted(root: Path, split: str) -> str | None:
    """Say how to make splits of images that lie in none."""
    if split != SPLITS[0] or not _is_pool(root):
        return None
    return f"move the class folders into {root / 'train'}, and a part of each class's images into {root / 'val'}"
