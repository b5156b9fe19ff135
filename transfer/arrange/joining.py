"""Joins what several files of an export say of one image, as a project and its own export in one folder do."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from pretrain.core.errors import DataError
from transfer.arrange.folder import Folder
from transfer.arrange.items import Export, Item, Thing
from transfer.arrange.tables import split_in
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import image_size


class Said(NamedTuple):
    """What one entry of a file says of an image."""

    path: str
    """The file, below the export's folder."""
    image: str
    things: Sequence[Thing]


def joined(folder: Folder, every: Iterable[Said], dropped: Dropped, known: Collection[str] = ()) -> Export:
    """Return an export's images with the objects of all its files; those equal in different files count once, with a note.

    Objects that are equal within one file all stay: there the user drew them twice.

    Args:
        folder: The export.
        every: What its files say, file by file; a file may have several entries of an image.
        dropped: Counts what is left out, here the images that no file names.
        known: Images that files name, and that are left out for another reason.

    Raises:
        DataError: If files give an image different splits.
    """
    images: dict[str, dict[str, list[Thing]]] = {}
    for path, image, things in every:
        images.setdefault(image, {}).setdefault(path, []).extend(things)
    items = [
        Item(image, image_size(folder.path(image)), split_by_files(image, files), tuple(united(files.values())))
        for image, files in images.items()
    ]
    for image in sorted(set(folder.images) - images.keys() - set(known)):
        dropped.add("images that no file names", image)
    classes = sorted({thing.name for item in items for thing in item.things})
    return Export("objects", tuple(items), tuple(classes), dropped, tuple(_notes(images, items)))


def united(files: Iterable[Sequence[Thing]]) -> list[Thing]:
    """Join the objects of one image: each as often as the file has it that has it most often, in the order of the files."""
    found, had = list[Thing](), Counter[tuple[object, ...]]()
    for things in files:
        here = Counter[tuple[object, ...]]()
        for thing in things:
            key = identity(thing)
            here[key] += 1
            if here[key] > had[key]:
                found.append(thing)
        had |= here
    return found


def identity(thing: Thing) -> tuple[object, ...]:
    """Return what equal objects have in common: all of an object, the numbers of its mask in place of the arrays."""
    mask = thing.mask
    if isinstance(mask, tuple):
        numbers: object = tuple(polygon.tobytes() for polygon in mask)
    else:
        numbers = None if mask is None else (tuple(mask["size"]), mask["counts"])
    return thing.name, thing.box, numbers, thing.crowd, thing.difficult, thing.area


def split_by_files(image: str, files: Iterable[str]) -> str | None:
    """Tell an image's split by the files that name it, or by its folder; None: none says it.

    Raises:
        DataError: If they say several.
    """
    splits = {split: path for path in files if (split := split_in(path, image)) is not None}
    if len(splits) > 1:
        seen = ", ".join(f"{path}: {split}" for split, path in splits.items())
        raise DataError(f"{image} is in several splits", seen=seen, allowed="one", fix="leave it in the file of one of them")
    return next(iter(splits), None)


def _notes(images: dict[str, dict[str, list[Thing]]], items: Sequence[Item]) -> Iterator[str]:
    several = [(files, item) for files, item in zip(images.values(), items, strict=True) if sum(map(bool, files.values())) > 1]
    if several:
        first, second = [path for path, things in several[0][0].items() if things][:2]
        twice = sum(sum(map(len, files.values())) - len(item.things) for files, item in several)
        yield (
            f"{len(several)} images have objects in several files, such as {first} and {second}, and keep those of all; "
            f"{twice} that are equal in different files count once"
        )
