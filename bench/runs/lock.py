"""Let one process at a time work in a run folder: a lock that the kernel frees the moment its holder is gone.

NOTE: POSIX record locks, not `flock` as most libraries take: processes that a holder forked, such as its workers, don't inherit
them, and so can't keep the folder locked when the holder was killed.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pretrain.core.errors import ConfigError

LOCK = ".lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[str]:
    """Hold a folder while the block lasts. Yields why its file system can't lock, or an empty text.

    Raises:
        ConfigError: If another process holds it; says which.
    """
    while True:
        file = (folder / LOCK).open("a+", encoding="utf-8")
        unsupported = _take(file, folder)
        if unsupported or _same(file, folder / LOCK):
            break
        file.close()  # its last holder took the file away while we opened it
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        file.flush()
        try:
            yield unsupported
        finally:
            (folder / LOCK).unlink(missing_ok=True)


def refuse_held(folder: Path) -> None:
    """Check that nobody holds a folder, without taking it: for a process that leaves the work to others.

    Raises:
        ConfigError: If another process holds the folder.
    """
    if (folder / LOCK).is_file():
        with (folder / LOCK).open("a+", encoding="utf-8") as file:
            _take(file, folder)


def is_held(folder: Path) -> bool:
    """Return whether another process holds a folder.

    NOTE: never of a folder that this process holds: closing the file again would give up its own lock.
    """
    try:
        refuse_held(folder)
    except ConfigError:
        return True
    except OSError:
        return False
    return False


def _take(file: IO[str], folder: Path) -> str:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read().strip() or "a process that has just begun"
        file.close()
        fix = "wait until it is done, stop it, or use another --out"
        raise ConfigError(f"{folder} is held by another process", seen=holder, fix=fix) from None
    except OSError as error:
        return str(error)
    return ""


def _same(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
