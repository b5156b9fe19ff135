"""A folder of class folders."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from pretrain.core import access
from pretrain.images.compact import Texts
from pretrain.images.stores import UNLABELLED, Found, index, is_class, is_image
from pretrain.images.stores.index import Part
from pretrain.images.stores.walk import Stamp, below, entries
from pretrain.images.unread import Unread

AT_ONCE = 4096
"""Sizes made numbers at a time."""


@dataclass(frozen=True)
class Files:
    """Image files of a folder."""

    root: Path
    """The folder."""
    names: Texts
    """Paths of the files below it."""
    known: np.ndarray | None = None
    """(N,) bytes of each, where an index has them."""

    def __len__(self) -> int:
        return len(self.names)

    def part(self, indices: Sequence[int]) -> "Files":
        """Select files by their indices."""
        known = None if self.known is None else self.known[np.asarray(indices, np.int64)]
        return Files(self.root, self.names.part(indices), known)

    def sizes(self) -> Iterator[int]:
        """Yield the bytes of each file, `UNKNOWN` where there is none to look at, such as behind a link that leads nowhere."""
        known = index.looked_at(self.root, self.names) if self.known is None else self.known
        for first in range(0, len(known), AT_ONCE):
            yield from known[first : first + AT_ONCE].tolist()

    def read(self, index: int) -> bytes:
        """Read one file.

        Raises:
            OSError: If it can't be read.
        """
        with open(f"{self.root}/{self.names[index]}", "rb", opener=_at_once) as file:
            return file.read()

    def source(self, index: int) -> Path:
        """Return the folder."""
        return self.root


@dataclass(frozen=True)
class Folder:
    """A folder of class folders; those that aren't asked for aren't looked into."""

    source: Path
    """The folder."""
    inner: str = ""
    """Nothing: the class folders are in the folder itself."""

    @cached_property
    def classes(self) -> list[str]:
        """Names of the class folders, sorted."""
        return sorted(name for name, is_folder in self._entries if is_folder and is_class(name))

    @cached_property
    def _entries(self) -> list[tuple[str, bool]]:
        """Name what is in the folder itself, and whether each is a folder."""
        return entries(self.source)

    def images(self, wanted: Collection[str]) -> Found:
        """List the images of some classes; links are followed, but none that leads back.

        Raises:
            DataError: If a folder can't be listed, or all classes are wanted and the link of one leads nowhere.
        """
        if len(wanted) == len(self.classes):
            self._require_links()
        found = index.contents(self.source, list(wanted), self._part)
        found.unread.beside = sum(not is_folder and is_image(name) for name, is_folder in self._entries)
        return Found(found.names, Files(self.source, found.names, found.sizes), found.unread, found.fingerprint)

    def _part(self, cls: str) -> Part:
        return _listed(self.source, cls, is_image)

    def _require_links(self) -> None:
        for name, is_folder in self._entries:
            if not is_folder and is_class(name) and not is_image(name) and os.path.islink(self.source / name):
                access.size(self.source / name)

    def holds_classes(self) -> bool:
        """Tell whether an image is in a class folder, or none is beside them."""
        if not any(is_image(name) for name, is_folder in self._entries if not is_folder):
            return True
        return any(
            map(is_image, chain.from_iterable(chain.from_iterable(below(self.source, cls, Unread()) for cls in self.classes)))
        )


@dataclass(frozen=True)
class Pool:
    """A folder of images without classes, at whatever depth they lie."""

    source: Path
    """The folder."""
    inner: str = ""
    """Nothing."""

    @cached_property
    def classes(self) -> list[str]:
        """The one class, if there are images."""
        return [UNLABELLED] if any(map(_is_visible_image, chain.from_iterable(below(self.source, "", Unread())))) else []

    def images(self, wanted: Collection[str]) -> Found:
        """List all images.

        Raises:
            DataError: If a folder can't be listed.
        """
        found = index.contents(self.source, [""], self._part, before=f"{UNLABELLED}/")
        names = found.names.beginning(f"{UNLABELLED}/")
        return Found(names, Files(self.source, found.names, found.sizes), found.unread, found.fingerprint)

    def _part(self, folder: str) -> Part:
        return _listed(self.source, folder, _is_visible_image)


def find(root: Path, split: str) -> Folder | Pool | None:
    """Find the folder `root/split`."""
    if not (root / split).is_dir():
        return None
    folder = Folder(root / split)
    return folder if folder.holds_classes() else Pool(root / split)


def _is_visible_image(path: str) -> bool:
    return is_image(path) and all(map(is_class, path.split("/")[:-1]))


def _listed(root: Path, folder: str, taken: Callable[[str], bool]) -> Part:
    """List the images of a folder that are taken; links are followed, but none that leads back.

    Raises:
        DataError: If a folder can't be listed.
    """
    unread, stamps, files, others = Unread(), list[Stamp](), list[str](), list[str]()
    for found in below(root, folder, unread, stamps):
        images = [file for file in found if taken(file)]
        files += images
        others += () if len(images) == len(found) else set(found).difference(images)
    unread.add(file for file in others if not is_image(file))
    return Part(Texts.of(sorted(files)), unread, stamps)


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe among the images might never deliver a byte."""
    return os.open(path, flags | os.O_NONBLOCK)
