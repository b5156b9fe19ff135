"""Choose among records of one identity: the newest is kept, and one that disagrees with it is named."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from transfer.record import RunRecord


@dataclass(frozen=True)
class Entry:
    """A record and where it lies."""

    path: Path
    """Its `result.json`."""
    record: RunRecord


@dataclass(frozen=True)
class Conflict:
    """Two records of one identity that disagree; the newer is kept."""

    kept: Entry
    dropped: Entry
    metrics: tuple[str, ...]
    """The metrics that differ."""


def newest(entries: Iterable[Entry]) -> tuple[list[Entry], tuple[Conflict, ...]]:
    """Return the newest record of every identity, sorted by path, and the older ones that disagree with it."""
    same: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        same[entry.record.identity].append(entry)
    kept, conflicts = [], []
    for group in same.values():
        last, *older = sorted(group, key=lambda entry: (entry.record.finished, str(entry.path)), reverse=True)
        kept.append(last)
        for entry in older:
            if differing := _differing(last.record.metrics, entry.record.metrics):
                conflicts.append(Conflict(last, entry, differing))
    return sorted(kept, key=lambda entry: str(entry.path)), tuple(conflicts)


def _differing(new: dict[str, float | None], old: dict[str, float | None]) -> tuple[str, ...]:
    """List the metrics that two records give differently, null and missing taken for the same."""

    def equal(name: str) -> bool:
        a, b = new.get(name), old.get(name)
        return a is b if a is None or b is None else math.isclose(a, b, abs_tol=1e-6)

    return tuple(name for name in sorted(new.keys() | old.keys()) if not equal(name))
