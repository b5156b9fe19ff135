"""How much memory can be taken, and how a size is said."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from pretrain.core.errors import DataError


def free_memory(num_workers: int) -> int:
    """Bytes that can be taken without swapping, within the limit of the process's group; where processes share them,
    also within that of shared memory. All of the machine's, on systems that don't say.
    """
    bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        bounds += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # "max" where there is no limit
        bounds.append(_left_to_the_group(Path("/sys/fs/cgroup")))
    if num_workers:
        with suppress(OSError):
            bounds.append(shutil.disk_usage("/dev/shm").free)
    return max(0, min(bounds))


def _left_to_the_group(group: Path) -> int:
    """Bytes below the limit of a control group (version 2); files it has read count as used, but are given up when needed."""
    limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    held = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return limit - used + int(held.get("inactive_file", 0)) + int(held.get("active_file", 0))


def gib(size: int) -> str:
    """A number of bytes as a person reads it."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def require(needed: int, free: int, what: str, fix: str) -> None:
    """Refuse what is too large for the memory or the disk."""
    if needed > free:
        raise DataError(f"the decoded images need {gib(needed)} of {what}", seen=f"{gib(free)} free", fix=fix)


def reserve(descriptor: int, size: int) -> None:
    """Lengthen a file by blocks of its own where the system can: a disk that is full later would be a signal, no error."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
