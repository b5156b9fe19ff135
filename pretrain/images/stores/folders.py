"""A folder of class folders."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pretrain.core import access
from pretrain.core.errors import DataError
from pretrain.images.stores import UNKNOWN, UNLABELLED, Found, by_class, is_class, is_image
from pretrain.images.unread import Unread


@dataclass(frozen=True)
class Files:
    """Image files of a folder."""

    root: Path
    """The folder."""
    names: Sequence[str]
    """Paths of the files below it."""

    def __len__(self) -> int:
        return len(self.names)

    def part(self, indices: Sequence[int]) -> "Files":
        """Select files by their indices."""
        return Files(self.root, [self.names[index] for index in indices])

    def sizes(self) -> Iterator[int]:
        """Yield the bytes of each file, `UNKNOWN` where there is none to look at, such as behind a link that leads nowhere."""
        return (_size(f"{self.root}/{name}") for name in self.names)

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
        return list(_listed(self.source))

    def images(self, wanted: Collection[str]) -> Found:
        """List the images of some classes; links are followed, but none that leads back.

        Raises:
            DataError: If a folder can't be listed, or all classes are wanted and the link of one leads nowhere.
        """
        if len(wanted) == len(self.classes):
            self._require_links()
        unread = Unread(beside=sum(not is_folder and is_image(name) for name, is_folder in self._entries))
        files = [file for cls in wanted for file in _below(self.source, cls, unread)]
        names = sorted((file for file in files if is_image(file)), key=by_class)
        unread.add(file for file in files if not is_image(file))
        return Found(names, Files(self.source, names), unread)

    def _require_links(self) -> None:
        for name, is_folder in self._entries:
            if not is_folder and is_class(name) and not is_image(name) and os.path.islink(self.source / name):
                access.size(self.source / name)

    def holds_classes(self) -> bool:
        """Tell whether an image is in a class folder, or none is beside them."""
        if not any(is_image(name) for name, is_folder in self._entries if not is_folder):
            return True
        return any(is_image(file) for cls in self.classes for file in _below(self.source, cls, Unread()))


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
        return [UNLABELLED] if any(map(_is_visible_image, _below(self.source, "", Unread()))) else []

    def images(self, wanted: Collection[str]) -> Found:
        """List all images.

        Raises:
            DataError: If a folder can't be listed.
        """
        unread = Unread()
        files = list(_below(self.source, "", unread))
        images = sorted(filter(_is_visible_image, files))
        unread.add(file for file in files if not is_image(file))
        return Found([f"{UNLABELLED}/{name}" for name in images], Files(self.source, images), unread)


def find(root: Path, split: str) -> Folder | Pool | None:
    """Find the folder `root/split`."""
    if not (root / split).is_dir():
        return None
    folder = Folder(root / split)
    return folder if folder.holds_classes() else Pool(root / split)


def _is_visible_image(path: str) -> bool:
    return is_image(path) and all(map(is_class, path.split("/")[:-1]))


def _below(root: Path, folder: str, unread: Unread) -> Iterator[str]:
    """Yield the files below a folder as paths below `root`, and count linked folders that lead back to one above."""
    whole = root.resolve()
    todo = [(folder, frozenset(_identity(each) for each in (*([whole] if folder else []), *whole.parents)))]
    while todo:
        where, above = todo.pop()
        here = _identity(root / where)
        if here in above:
            unread.circular += 1
            continue
        for name, is_folder in _listed(root / where):
            path = f"{where}/{name}" if where else name
            if is_folder:
                todo.append((path, above | {here}))
            else:
                yield path


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return UNKNOWN


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _listed(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the names in a folder, and whether each is a folder.

    Raises:
        DataError: If it can't be listed.
    """
    try:
        with os.scandir(folder) as entries:
            yield from [(entry.name, _is_folder(entry)) for entry in entries]
    except OSError as error:
        fix = "make it readable, or remove it from the data"
        raise DataError(f"can't list the folder {folder}", seen=error.strerror, fix=fix) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe among the images might never deliver a byte."""
    return os.open(path, flags | os.O_NONBLOCK)
