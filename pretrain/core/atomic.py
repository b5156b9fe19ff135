"""Files that are written whole or not at all, even if the process is killed meanwhile."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pretrain.core.machine_errors import translating_os_errors


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file for writing that replaces `path` when the block ends; an exception leaves `path` as it was.

    Raises:
        StorageError: If the disk is full or the folder can't be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with translating_os_errors("write", path):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # a folder that is gone has no such file either
            temporary.unlink(missing_ok=True)
