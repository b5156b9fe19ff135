"""Failures of the machine that end a run, as one message each: full or failing disks, killed loader workers."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pretrain.core.errors import BenchError, StorageError, WorkerError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, no quota, or a file beyond the largest size."""
LOCKED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""A read-only file system, or missing permission."""
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
"""The folder was removed while it was in use."""
FAILING = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV, errno.EMFILE, errno.ENFILE})
"""A disk that fails; too many open files."""
UNNAMEABLE = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})
"""A name that no disk can have."""
NO_ROOM, UNSENDABLE = 121, 122
"""Exit codes of a loader worker that can't send a batch: for want of shared memory, or for another reason, which it prints."""
SHARED_MEMORY = re.compile(r"shared memory|\(shm\)|Bus error", re.IGNORECASE)
"""What torch says where shared memory is full, or where a process was killed because it was."""
LONGEST = 300
"""Characters of another library's message that are shown."""
LOST_WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) "
    r"(?:exited unexpectedly(?: with exit code (\d+))?|is killed by signal: ([^.]*))"
)
"""Start of torch's message for a dead loader worker: its process number, its exit code, the signal that killed it."""


NO_MEMORY = re.compile(r"out of memory|DefaultCPUAllocator: (can't allocate|not enough) memory", re.IGNORECASE)
"""What torch says where the memory of a GPU or of the machine is too small."""


@contextlib.contextmanager
def translating_os_errors(what: str, path: Path) -> Iterator[None]:
    """Translate OS errors, killed loader workers and want of memory into `StorageError` and `WorkerError`; others propagate.

    Args:
        what: What the block does, for the message: `write the run folder`.
        path: The file or folder to name if the failing call names none.

    Raises:
        StorageError: For a full disk, a read-only or vanished folder, a failing disk.
        WorkerError: For a killed loader worker, and for memory, of a GPU or the machine, that is too small.
    """
    try:
        yield
    except OSError as error:
        gone = error.errno in GONE and not path.exists()
        if not gone and error.errno not in FULL | LOCKED | FAILING | UNNAMEABLE:
            raise
        raise unwritable(f"can't {what}", error, path) from None
    except (RuntimeError, MemoryError) as error:
        killed = LOST_WORKER.search(str(error))
        if killed is not None:
            raise _worker_lost(killed) from None
        if isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
            raise no_memory(error) from None
        raise


def unwritable(wrong: str, error: OSError, path: Path) -> BenchError:
    """Build the error for a file or folder that a system call refused, with the free space on its disk."""
    at = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else path
    fix = "make it writable, or write to another folder"
    if error.errno in FULL:
        fix = "free some space and give the same command again: it resumes from the last checkpoint"
    elif error.errno in GONE:
        fix = "it was there before: mount or restore it, and give the same command again"
    elif error.errno in UNNAMEABLE:
        fix = "choose a shorter name"
    elif error.errno in FAILING:
        fix = "see the machine's log, and give the same command again"
    room = "" if error.errno in LOCKED else f"; {free(at)}"
    return StorageError(f"{wrong}: {at}", seen=f"{error.strerror or error}{room}", fix=fix)


def free(path: Path) -> str:
    """Describe the free space of the disk that a path lies on."""
    with contextlib.suppress(FileNotFoundError):  # of a working folder that was removed
        path = path.absolute()
    for folder in (path, *path.parents):
        with contextlib.suppress(OSError):
            return f"{shutil.disk_usage(folder).free / 2**20:,.1f} MiB free on that disk"
    return "its disk does not respond"


def no_memory(error: RuntimeError | MemoryError) -> WorkerError:
    """Build the error for what has no room in the memory of a GPU or of the machine."""
    gpu = "DefaultCPUAllocator" not in str(error) and not isinstance(error, MemoryError)
    return WorkerError(
        f"out of memory, {'on the GPU' if gpu else 'of the machine'}",
        seen=_first_sentences(str(error)),
        fix="halve the batch (--batch, in pretrain --set batch=), or take smaller images (--size, --set size=); "
        "`--dry-run` says what a run needs",
    )


def _first_sentences(text: str) -> str:
    """Leave of torch's message how much was asked for, without its advice and its traceback."""
    line = next(iter(text.splitlines()), "")
    return re.split(r"(?<=[.]) (?=Of the allocated|If reserved|See )", line)[0][:LONGEST] or "no more of it"


def no_shared_memory(error: object) -> WorkerError:
    """Build the error for shared memory that is too small for loader workers."""
    return WorkerError(
        "shared memory (/dev/shm) is too small for the loader workers",
        seen=f"{error}; {free(Path('/dev/shm'))}",
        fix="do without workers: --set num_workers=0; or give more: docker's --shm-size=8g, or --ipc=host",
    )


def _worker_lost(found: re.Match[str]) -> WorkerError:
    how = f"killed by a signal ({found[3]})" if found[3] else "ended without a message"
    if found[2] == str(NO_ROOM) or SHARED_MEMORY.search(how):
        return no_shared_memory(f"process {found[1]}, {how}")
    if found[2] == str(UNSENDABLE):
        how = "could not send a batch; what it printed says why"
    return WorkerError(
        "a loader worker died",
        seen=f"process {found[1]}, {how}; the kernel kills processes when memory runs out",
        fix="give the same command again, with fewer workers: --set num_workers=1 (it resumes from the last checkpoint)",
    )
