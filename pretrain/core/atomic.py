"""Files that are whole or not there, also when the process is killed while it writes one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pretrain.core.machine_errors import translating_os_errors


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the place of the one at `path` when the block is done; until then that one stays.

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
