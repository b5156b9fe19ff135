"""What a plan comes to: cells by state, device hours, wall time, disk and memory, and where these are from."""

import shutil
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.study import running
from bench.study.cells import BACKBONE, Cell
from bench.study.cost import Costs, Estimate
from bench.study.order import Order, Played, play
from bench.study.states import ENDED, Look, State

STARTS = 30.0
"""Seconds that the start of a cell costs: imports, and the data's lists."""
GIB = 2**30


@dataclass(frozen=True)
class Forecast:
    """What is left to do of a study."""

    look: Look
    to_do: dict[str, Cell]
    estimates: dict[str, Estimate]
    """Of the cells to do that records are like."""
    order: Order
    devices: int
    played: Played
    """With unknown cells left out."""
    disk: float | None
    """Bytes of the run folders to come; None: no pre-training of the study is done."""

    @property
    def unknown(self) -> Counter[str]:
        """Count the cells to do that no record is like, by task."""
        return Counter(cell.task for cell in self.to_do.values() if cell.id not in self.estimates)

    def hours(self, task: str) -> float | None:
        """Return device hours of the cells of a task to do; None where some are unknown."""
        cells = [cell for cell in self.to_do.values() if cell.task == task]
        if any(cell.id not in self.estimates for cell in cells):
            return None
        return sum(self.estimates[cell.id].seconds * cell.resource.devices for cell in cells) / 3600

    @property
    def device_hours(self) -> float:
        """Return device hours of all cells to do that records are like."""
        return sum(each.seconds * self.to_do[key].resource.devices for key, each in self.estimates.items()) / 3600

    @property
    def memory_mib(self) -> float:
        """Return the largest memory of a cell."""
        return max((each.memory_mib for each in self.estimates.values()), default=0.0)


def forecast(look: Look, costs: Costs, devices: int) -> Forecast:
    """Forecast what a study will take on so many devices."""
    to_do = {cell.id: cell for cell in look.plan.cells.values() if look.states[cell.id] not in ENDED}
    estimates = {key: found for key, cell in to_do.items() if (found := costs.of(cell)) is not None}
    estimates |= dict(_going(look, estimates))

    def seconds(cell: Cell) -> float:
        found = estimates.get(cell.id)
        return found.seconds if found else 0.0

    order = Order(look.plan, seconds)
    played = play({key: to_do[key] for key in estimates}, order, seconds, devices, STARTS)
    return Forecast(look, to_do, estimates, order, devices, played, _disk(look, to_do))


def _going(look: Look, estimates: Mapping[str, Estimate]) -> Iterator[tuple[str, Estimate]]:
    """Estimate what running cells have left, by their own progress."""
    for cell in look.having(State.RUNNING):
        at = running.read(cell.folder)
        if at is not None and at.left is not None:
            alike = estimates.get(cell.id)
            yield cell.id, Estimate(at.left, alike.memory_mib if alike else 0.0, "running cells' own progress")


def _disk(look: Look, to_do: dict[str, Cell]) -> float | None:
    """Bytes that the pre-trainings to do will take: as many for each as those that are done."""
    done = [cell for cell in look.having(State.DONE) if cell.subject is None]
    made = [size for cell in done for found in look.found[cell.id] if (size := sum(_sizes(found.folder)))]
    waiting = sum(cell.subject is None for cell in to_do.values())
    if not waiting:
        return 0.0
    return statistics.median(made) * waiting if made else None


def _sizes(folder: Path) -> Iterator[int]:
    """Sizes of the files of a run folder; nothing where it has no backbone, as where records alone were kept."""
    if (folder / BACKBONE).is_file():
        yield from (path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free
