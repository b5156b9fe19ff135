"""Processes that make the same file take turns: the first one makes it, and those that waited find it made.

NOTE: POSIX record locks, as those of run folders: workers that were forked from a holder don't inherit them.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for `path`, and be in it; where files can't be locked, don't wait."""
    with contextlib.ExitStack() as opened:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = opened.enter_context(path.with_name(f"{path.name}.lock").open("a"))
            fcntl.lockf(lock, fcntl.LOCK_EX)
        yield
