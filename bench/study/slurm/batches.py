"""Cells that are ready → arrays of jobs: one for each class of resources, of whose elements each does one cell or a few."""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.study import times
from bench.study.cells import Cell
from bench.study.file import Resource
from bench.study.plan import StudyPlan
from bench.study.slurm import job, queue
from bench.study.slurm.settings import CPUS, Slurm
from pretrain.core.errors import ConfigError

EARLY = 60
"""Seconds that Slurm may send a signal too early."""
Seconds = Callable[[Cell], float | None]
"""Estimated seconds of a cell; None: unknown."""
Faulty = Callable[[str], frozenset[str]]
"""Id of a cell → nodes on which it failed by their fault."""


@dataclass(frozen=True)
class Batch:
    """Elements of one array: jobs that are asked for the same."""

    resource: Resource
    slurm: Slurm
    elements: tuple[tuple[Cell, ...], ...]
    """The cells of each."""
    avoid: frozenset[str] = frozenset()
    """Nodes on which they failed."""

    @property
    def cells(self) -> list[Cell]:
        """Return the cells of all elements."""
        return [cell for element in self.elements for cell in element]

    def listed(self) -> str:
        """Return the text of the array's list: a line with the ids of its cells for each element."""
        return "".join(" ".join(cell.id for cell in element) + "\n" for element in self.elements)

    def options(self, name: str, logs: Path, token: str) -> list[str]:
        """Return the words of `sbatch`.

        Args:
            name: Of the study.
            logs: Folder of the jobs' logs.
            token: Name of the array's list.
        """
        return [
            "sbatch",
            "--parsable",
            f"--job-name={queue.name(name)}",
            f"--comment={token}",
            f"--array=0-{len(self.elements) - 1}",
            f"--output={str(logs.absolute()).replace('%', '%%')}/%A_%a.txt",
            "--open-mode=append",
            "--requeue",
            *_resources(self.resource, self.slurm),
            *([f"--exclude={','.join(sorted(self.avoid))}"] if self.avoid else []),
            *self.slurm.extra,
        ]


def _resources(resource: Resource, slurm: Slurm) -> Iterator[str]:
    """Yield the options of sbatch that ask for what a job needs."""
    devices = resource.devices // resource.nodes
    yield from (f"--nodes={resource.nodes}", "--ntasks-per-node=1")
    cpus = -(-resource.cpus // resource.nodes) if resource.cpus else devices if slurm.gres == CPUS else None
    if cpus:
        yield f"--cpus-per-task={cpus}"
    if resource.memory:
        yield f"--mem={resource.memory}"
    if slurm.gres != CPUS:
        yield f"--gres={slurm.gres}:{devices}"
    limit = resource.time or slurm.time
    if limit:
        yield f"--time={times.clock(times.seconds(limit) or 0)}"
    for option in ("partition", "account", "qos"):
        if value := getattr(slurm, option):
            yield f"--{option}={value}"
    spare = min(slurm.save // 2, slurm.save - EARLY)
    if spare > 0:  # a job that can't ask for its own end
        yield f"--signal=B:TERM@{spare}"


def script(plan: StudyPlan, slurm: Slurm, listed: Path, elsewhere: Iterable[Path] = ()) -> str:
    """Return the text of a job. `exec` makes the element itself the process that Slurm's signals go to.

    Args:
        plan: The study.
        slurm: What its jobs are told.
        listed: The array's list.
        elsewhere: Further folders with records.
    """
    words = [sys.executable, "-m", "bench", "study", "cell", str(plan.path.absolute()), "--on", "slurm"]
    words += [word for folder in elsewhere for word in ("--found", str(folder.absolute()))]
    cells = f'$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "${job.LIST}")'
    named = f"export {job.LIST}={shlex.quote(str(listed.absolute()))}"
    return "\n".join(["#!/bin/bash", *slurm.setup, named, f"exec {shlex.join(words)} {cells}", ""])


def batches(
    plan: StudyPlan, ready: Sequence[Cell], seconds: Seconds, largest: int, faulty: Faulty = lambda cell: frozenset()
) -> list[Batch]:
    """Sort cells into arrays.

    Args:
        plan: Their study.
        ready: The cells, the most urgent one first.
        seconds: Estimates, by which short evaluations of one backbone become one element.
        largest: Elements of an array at most.
        faulty: Nodes on which cells failed.

    Raises:
        ConfigError: If the study does not say what a device is.
    """
    classes: dict[tuple[frozenset[str], str], list[Cell]] = {}
    for cell in ready:
        key = faulty(cell.id), repr(cell.resource.model_copy(update={"when": {}}))
        classes.setdefault(key, []).append(cell)
    made = []
    for (avoid, _), cells in classes.items():
        resource = cells[0].resource
        slurm = plan.study.slurm.of(resource.slurm)
        if slurm.gres is None:
            allowed = "slurm: {gres: gpu}, {gres: gpu:a100}, ..., or {gres: none} for processes on CPUs"
            raise ConfigError("the study does not say what a device is on this cluster", allowed=allowed)
        elements = list(_bundled(cells, seconds, slurm.bundle))
        for begin in range(0, len(elements), largest):
            made.append(Batch(resource, slurm, tuple(elements[begin : begin + largest]), avoid))
    return made


def _bundled(cells: Iterable[Cell], seconds: Seconds, most: int) -> Iterator[tuple[Cell, ...]]:
    """Put evaluations of one backbone together, up to so many seconds; one of unknown length stays alone."""
    bundles: list[list[Cell]] = []
    open_: dict[str, tuple[list[Cell], float]] = {}
    for cell in cells:
        long = seconds(cell)
        if cell.subject is None or long is None or long > most:
            bundles.append([cell])
            continue
        bundle, used = open_.get(cell.subject.checkpoint, ([], 0.0))
        if not bundle or used + long > most:
            bundle, used = [], 0.0
            bundles.append(bundle)
        bundle.append(cell)
        open_[cell.subject.checkpoint] = bundle, used + long
    yield from map(tuple, bundles)
