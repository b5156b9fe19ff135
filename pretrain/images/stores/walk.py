"""Walking through folders of images, and what tells later whether they have changed since."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import DataError
from pretrain.images.stores import UNKNOWN
from pretrain.images.unread import Unread

YOUNG = 60
"""Seconds for which a changed folder may change again unseen: its time has the grain of a second on some file systems, and
over a network it may be as old as this."""


class Stamp(NamedTuple):
    """A folder as it was when it was listed: what is added, removed or renamed in it changes its time."""

    path: str
    """Its path below the root."""
    changed: int
    """When it was changed last, in nanoseconds."""
    inode: int
    """Its number on its disk."""
    young: bool
    """Whether it had changed so recently that it has to be listed again."""

    def holds(self, root: Path) -> bool:
        """Return whether the folder is still as it was listed."""
        if self.young:
            return False
        try:
            descriptor = os.open(root / self.path, os.O_RDONLY | os.O_DIRECTORY)  # so that a network's file system looks
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return (status.st_mtime_ns, status.st_ino) == (self.changed, self.inode)


def below(root: Path, folder: str, unread: Unread, stamps: list[Stamp] | None = None) -> Iterator[list[str]]:
    """Yield the files of each folder below one as paths below `root`, and count linked folders that lead back to one above.

    Args:
        root: What the paths are below.
        folder: The folder, as a path below it; empty for the root itself.
        unread: Counts what is not read.
        stamps: Gets a stamp of every folder that was listed.

    Raises:
        DataError: If a folder can't be listed.
    """
    whole = root.resolve()
    todo = [(folder, frozenset(_identity(each.stat()) for each in (*([whole] if folder else []), *whole.parents)))]
    while todo:
        where, above = todo.pop()
        status, now = (root / where).stat(), time.time_ns()
        here = _identity(status)
        if here in above:
            unread.circular += 1
            continue
        if stamps is not None:
            stamps.append(Stamp(where, status.st_mtime_ns, status.st_ino, now - status.st_mtime_ns < YOUNG * 10**9))
        start, found = f"{where}/" if where else "", entries(root / where)
        todo += [(start + name, above | {here}) for name, is_folder in found if is_folder]
        yield [start + name for name, is_folder in found if not is_folder]


def entries(folder: Path) -> list[tuple[str, bool]]:
    """List the names in a folder, and whether each is a folder.

    Raises:
        DataError: If it can't be listed.
    """
    try:
        with os.scandir(folder) as found:
            return [(entry.name, _is_folder(entry)) for entry in found]
    except OSError as error:
        fix = "make it readable, or remove it from the data"
        raise DataError(f"can't list the folder {folder}", seen=error.strerror, fix=fix) from None


def size(above: int, path: str) -> int:
    """Return the bytes of a file, `UNKNOWN` where there is none to look at, such as behind a link that leads nowhere.

    Args:
        above: Descriptor of a folder, from which the way is shorter than from the root of the system.
        path: The file's path below it.
    """
    try:
        return os.stat(path, dir_fd=above).st_size
    except OSError:
        return UNKNOWN


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
