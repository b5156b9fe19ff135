"""Free memory, sizes in words, and the check that data fits."""

import multiprocessing
import os
import shutil
from contextlib import suppress
from pathlib import Path

from pretrain.core.errors import DataError


def free_memory(num_workers: int) -> int:
    """Estimate the bytes that can be allocated without swapping, within the limit of the process's control group.

    Where loader workers are not forked, also within shared memory. On systems that report nothing: all of the machine's memory.
    """
    bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        bounds += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # "max" means no limit
        bounds.append(_left_to_the_group(Path("/sys/fs/cgroup")))
    if num_workers and multiprocessing.get_start_method() != "fork":
        with suppress(OSError):
            bounds.append(shutil.disk_usage("/dev/shm").free)
    return max(0, min(bounds))


def _left_to_the_group(group: Path) -> int:
    """Count the bytes left below the limit of a control group (version 2); cached files count as free."""
    limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    held = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return limit - used + int(held.get("inactive_file", 0)) + int(held.get("active_file", 0))


def gib(size: int) -> str:
    """Format a number of bytes: `1.50 GiB`, `12.0 MiB`."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def require(needed: int, free: int, what: str, fix: str) -> None:
    """Refuse decoded images that are larger than the memory or the disk.

    Args:
        needed: Bytes of the images.
        free: Bytes there are.
        what: Of what, for the message: `memory`.
        fix: What to do.

    Raises:
        DataError: If they don't fit.
    """
    if needed > free:
        raise DataError(f"the decoded images need {gib(needed)} of {what}", seen=f"{gib(free)} free", fix=fix)


def reserve(descriptor: int, size: int) -> None:
    """Allocate all blocks of a file where the system can.

    Otherwise a disk that fills up while the file is memory-mapped would raise a fatal signal instead of an error.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
