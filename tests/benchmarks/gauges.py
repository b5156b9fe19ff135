"""What a measurement of this process reads: seconds of both clocks, and memory."""

import os
import time
from pathlib import Path
from typing import NamedTuple


class Clock(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float
    """Of this process alone."""

    @classmethod
    def now(cls) -> "Clock":
        """Of the clocks."""
        return cls(time.perf_counter(), time.process_time())

    def plus(self, other: "Clock") -> "Clock":
        """Both together."""
        return Clock(self.wall + other.wall, self.cpu + other.cpu)

    def since(self, other: "Clock") -> "Clock":
        """From another time to this one."""
        return Clock(self.wall - other.wall, self.cpu - other.cpu)


def resident() -> float:
    """Return the process's resident memory in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def private() -> float:
    """Return the MiB that this process has written and shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024
