"""The door to other people's files: what the operating system refuses becomes one error that names the path and says why."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pretrain.core.errors import BenchError, DataError

REFUSALS = (OSError, ValueError)
"""What opening or listing a path can raise; ValueError for a name that the file system's encoding can't write."""
LONGEST = 1024
"""Characters of a path that a message shows at most."""
REASONS: dict[int, tuple[str, str]] = {
    errno.ENOENT: ("nothing is there", "put it there, or correct the path"),
    errno.ENOTDIR: ("a part of its path is a file", "correct the path"),
    errno.EISDIR: ("a folder", "put the file in the folder's place"),
    errno.EACCES: ("no permission to read it", "make it readable: chmod -R u+rX, or ask its owner"),
    errno.EPERM: ("no permission to read it", "make it readable: chmod -R u+rX, or ask its owner"),
    errno.ELOOP: ("a link that leads back to itself", "put the file in the link's place, or remove the link"),
    errno.ESTALE: ("a stale handle: the network file system has moved on", "mount it again"),
    errno.EIO: ("the disk fails", "see the machine's log, and copy the data from its source"),
}
"""Error number → what it means for a reader, and what to do."""


@contextlib.contextmanager
def reading(path: Path | str, kind: type[BenchError] = DataError) -> Iterator[None]:
    """Turn what the operating system refuses within the block into one error of that kind.

    Raises:
        BenchError: Of that kind, which names the path.
    """
    try:
        yield
    except REFUSALS as error:
        raise inaccessible(path, error, kind) from None


def inaccessible(path: Path | str, error: Exception, kind: type[BenchError] = DataError) -> BenchError:
    """Build the error for a path that can't be read: a link that leads nowhere, a missing permission, a failing disk."""
    seen, fix = why_not(path, error)
    return kind(f"can't read {str(path)[:LONGEST]}", seen=seen, fix=fix)


def why_not(path: Path | str, error: Exception) -> tuple[str, str | None]:
    """Say what is wrong with a path that can't be read, and what to do."""
    if isinstance(error, UnicodeEncodeError):
        return str(error), other_locale()
    if not isinstance(error, OSError):
        return str(error), None
    seen, fix = REASONS.get(error.errno or 0, (error.strerror or str(error), None))
    link = _dead_link(Path(path))
    if link is None:
        return seen, fix
    target = os.readlink(link)
    if error.errno == errno.ELOOP:
        return f"a link that leads back to itself, by way of {target}", fix
    named = "a link" if link == Path(path) else f"below the link {link}, which leads"
    return f"{named} to {target}, which is not there", "mount or restore what it leads to, or remove the link"


def size(path: Path | str) -> int:
    """Return the bytes of a file.

    Raises:
        DataError: If it can't be looked at; names the path.
    """
    with reading(path):
        return os.stat(path).st_size


def names(folder: Path) -> list[str]:
    """List the names in a folder, sorted.

    Raises:
        DataError: If it can't be listed; names the path.
    """
    with reading(folder):
        return sorted(os.listdir(folder))


def other_locale() -> str | None:
    """Say what to do about file names that this locale can't read; None where it reads all."""
    encoding = sys.getfilesystemencoding()
    if encoding.lower().replace("_", "-") == "utf-8":
        return None
    return f"set PYTHONUTF8=1, or a UTF-8 locale such as LC_ALL=C.UTF-8: file names are read as {encoding} here"


def _dead_link(path: Path) -> Path | None:
    """Return the path, or the nearest folder above it, that is a link and leads nowhere."""
    for each in (path, *path.parents):
        if os.path.islink(each):
            return None if os.path.exists(each) else each
        if os.path.lexists(each):
            return None
    return None
