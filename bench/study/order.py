"""In which order cells are started, and what that makes of a study on so many devices."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bench.study.cells import Cell
from bench.study.plan import StudyPlan

Seconds = Callable[[Cell], float]
"""Estimated seconds of a cell."""


class Order:
    """The order of a study's cells: what the file puts first; every seed before the next one; then most devices first, and
    of these the longest remaining path.
    """

    def __init__(self, plan: StudyPlan, seconds: Seconds) -> None:
        written = plan.study.order.policy == "written"
        after: dict[str, float] = {}
        """Id of a cell → seconds of the longest path of those that need it."""
        for cell in reversed(list(plan.cells.values())):  # what others need comes before them
            if cell.needs is not None:
                after[cell.needs] = max(after.get(cell.needs, 0.0), seconds(cell) + after.get(cell.id, 0.0))
        self._keys: dict[str, tuple[float, ...]] = {}
        for index, cell in enumerate(plan.cells.values()):
            path = seconds(cell) + after.get(cell.id, 0.0)
            policy = (0.0, 0.0) if written else (-cell.resource.devices, -path)
            self._keys[cell.id] = (cell.first, cell.rank, *policy, index)

    def sorted(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return cells in their order, the first to start first."""
        return sorted(cells, key=lambda cell: self._keys[cell.id])

    def key(self, cell: Cell) -> tuple[float, ...]:
        """Return what orders a cell."""
        return self._keys[cell.id]


@dataclass(frozen=True)
class Played:
    """How a study would go."""

    seconds: float
    """Until the last cell ends."""
    busy: float
    """Share of the devices' time in which they work."""
    path: float
    """Seconds of the longest chain of cells, which no number of devices shortens."""


def play(cells: Mapping[str, Cell], order: Order, seconds: Seconds, devices: int, start: float = 0.0) -> Played:
    """Play cells on devices: at each moment start, in their order, every one that is ready and finds its devices free.

    Args:
        cells: Those to do, by id. What others they need is taken as done.
        order: Of the cells.
        seconds: Estimates.
        devices: How many there are; a cell that needs more gets all.
        start: Seconds that each start costs.
    """
    waiting: dict[str, list[Cell]] = {}
    ready: list[tuple[tuple[float, ...], str]] = []
    for cell in cells.values():
        if cell.needs in cells:
            waiting.setdefault(str(cell.needs), []).append(cell)
        else:
            heapq.heappush(ready, (order.key(cell), cell.id))
    now, free, work = 0.0, devices, 0.0
    ends: list[tuple[float, str, int]] = []
    while ready or ends:
        kept = []
        while ready and free:
            key, name = heapq.heappop(ready)
            cell = cells[name]
            wanted = min(cell.resource.devices, devices)
            if wanted > free:
                kept.append((key, name))
                continue
            free -= wanted
            work += wanted * seconds(cell)
            heapq.heappush(ends, (now + start + seconds(cell), name, wanted))
        for each in kept:
            heapq.heappush(ready, each)
        now, name, wanted = heapq.heappop(ends)
        free += wanted
        for cell in waiting.get(name, ()):
            heapq.heappush(ready, (order.key(cell), cell.id))
    path = max((seconds(cell) + _before(cell, cells, seconds) for cell in cells.values()), default=0.0)
    return Played(now, work / (now * devices) if now else 1.0, path)


def _before(cell: Cell, cells: Mapping[str, Cell], seconds: Seconds) -> float:
    if cell.needs is None or cell.needs not in cells:
        return 0.0
    before = cells[cell.needs]
    return seconds(before) + _before(before, cells, seconds)
