"""Files of an export in the new folder: links to them, or copies."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.core.journal import Progress

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What a file system without links answers."""

How = Callable[[Path, Path], None]
"""Called with a file or folder of the export, and where it is to be in the new folder: `link` or `copy`."""


class Place:
    """Puts images of an export into the new folder, and says how many are done."""

    def __init__(self, how: How, total: int, progress: Progress) -> None:
        """Begin with none of `total` images."""
        self._how, self._total, self._progress, self._done = how, total, progress, 0

    def __call__(self, source: Path, target: Path) -> None:
        """Put an image of the export where it is to be."""
        self._how(source, target)
        self.count()

    def count(self) -> None:
        """Count an image that its writer has dealt with itself."""
        self._done += 1
        self._progress("images arranged", self._done, self._total, {})


def link(source: Path, target: Path) -> None:
    """Link to a file or folder by its whole path, so that the new folder may be moved.

    Raises:
        DataError: If this disk has no links.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        raise DataError(
            f"can't make links in {target.parent}", seen=error.strerror, fix="add --copy, which copies the files"
        ) from None


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder.

    Raises:
        DataError: If it can't be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    except (shutil.Error, FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"can't copy {source}", seen=str(error)[:200]) from None


def write(path: Path, content: bytes) -> None:
    """Write a file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
