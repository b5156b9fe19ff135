"""Compute what rows cost, in time, memory and speed, and which of them no other row beats at both cost and score."""

from collections.abc import Sequence
from dataclasses import dataclass

from transfer.record import RunRecord

HOUR = 3600
"""Seconds."""


@dataclass(frozen=True)
class Cost:
    """What some runs took."""

    runs: int
    """How many runs."""
    wall_hours: float
    device_hours: float
    """Wall hours times the devices that worked together."""
    images_per_second: float | None
    """Mean over the runs that trained; None where none says."""
    peak_memory_mib: float
    """The largest of them."""
    peak_gpu_mib: float | None
    """Likewise of a GPU's memory; None where none ran on one."""
    hardware: str
    """What they ran on, in words. Hours of different hardware don't compare."""


def mean(records: Sequence[RunRecord]) -> Cost | None:
    """Return what one run takes, as the mean over repetitions; None without a run."""
    if not records:
        return None
    whole, count = total(records), len(records)
    hours, device_hours = whole.wall_hours / count, whole.device_hours / count
    return Cost(count, hours, device_hours, whole.images_per_second, whole.peak_memory_mib, whole.peak_gpu_mib, whole.hardware)


def total(records: Sequence[RunRecord]) -> Cost:
    """Return what all the runs took together."""
    speeds = [record.images_per_second for record in records if record.images_per_second is not None]
    return Cost(
        len(records),
        sum(record.wall_seconds for record in records) / HOUR,
        sum(record.wall_seconds * record.environment.devices for record in records) / HOUR,
        sum(speeds) / len(speeds) if speeds else None,
        max((record.peak_memory_mib for record in records), default=0.0),
        max((record.peak_gpu_mib for record in records if record.peak_gpu_mib is not None), default=None),
        " and ".join(sorted({record.environment.hardware for record in records})),
    )


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the indices of the (cost, score) points that no other beats: cheaper ones all score less. By rising cost.

    Of points that are equal in both, each is on the front.
    """
    best, chosen = float("-inf"), []
    last: tuple[float, float] | None = None
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        if points[index][1] > best or points[index] == last:
            best, last = points[index][1], points[index]
            chosen.append(index)
    return tuple(chosen)
