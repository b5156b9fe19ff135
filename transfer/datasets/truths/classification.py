"""Degenerate truths of image folders: `CLASSIFICATION` lists them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import DataError
from transfer.datasets.truths import Finding, alike, identity


class Folders(NamedTuple):
    """What the reader of image folders has read."""

    root: Path
    """Folder of the data."""
    train: Path
    """Folder or archive of the training images."""
    val: Path | None
    """Folder or archive of the validation images; None where there are none, or others by their names."""
    classes: tuple[str, ...]
    """Names of the classes."""
    probed: bool
    """Whether classes are told apart and accuracy is measured; what learns without labels needs none."""


def one_class_alone(truth: Folders) -> Iterator[Finding]:
    """Refuse a single class, of which every guess is right."""
    if truth.probed and len(truth.classes) < 2:
        seen = f"{len(truth.classes)} class: {', '.join(truth.classes)}" if truth.classes else "no class"
        fix = "put the images of each class into a folder of its own, below train and below val"
        yield DataError(
            f"{truth.root} has one class alone, which has no accuracy", seen=seen, allowed="2 classes or more", fix=fix
        )


def one_place(truth: Folders) -> Iterator[Finding]:
    """Note that training and validation images are the same."""
    if truth.val is not None and identity(truth.train) == identity(truth.val):
        yield f"{truth.val} and {truth.train} are one: all images are both trained on and evaluated on"


def one_class_folder(truth: Folders) -> Iterator[Finding]:
    """Note classes whose folders are one folder, under whatever links: their images can't be told apart."""
    places: dict[object, list[str]] = {}
    for name in truth.classes if len(truth.classes) > 1 and truth.train.is_dir() else ():
        places.setdefault(identity(truth.train / name), []).append(name)
    for names in places.values():
        if len(names) > 1:
            yield f"classes that are one folder, so that nothing tells them apart: {', '.join(map(repr, names))}"


def names_alike(truth: Folders) -> Iterator[Finding]:
    """Note classes whose names differ by case alone."""
    yield from alike(truth.classes)


CLASSIFICATION: tuple[Callable[[Folders], Iterator[Finding]], ...] = (
    one_class_alone,
    one_place,
    one_class_folder,
    names_alike,
)
"""The degenerate truths, in the order in which they are told."""
