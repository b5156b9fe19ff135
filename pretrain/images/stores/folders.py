"""A folder of class folders."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pretrain.images.stores import by_class, is_image


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
        """Yield the bytes of each file.

        Raises:
            OSError: If one is gone.
        """
        return (os.stat(f"{self.root}/{name}").st_size for name in self.names)

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
        return sorted(entry.name for entry in os.scandir(self.source) if entry.is_dir() and not entry.name.startswith("."))

    def images(self, wanted: Collection[str]) -> tuple[list[str], Files]:
        """List the images of some classes, sorted by class folder, then by name."""
        names: list[str] = []
        for cls in wanted:
            for where, _, files in os.walk(self.source / cls):
                below = Path(where).relative_to(self.source).as_posix()
                names.extend(f"{below}/{file}" for file in files if is_image(file))
        names.sort(key=by_class)
        return names, Files(self.source, names)


def find(root: Path, split: str) -> Folder | None:
    """Find the folder `root/split`."""
    return Folder(root / split) if (root / split).is_dir() else None


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe among the images might never deliver a byte."""
    return os.open(path, flags | os.O_NONBLOCK)
