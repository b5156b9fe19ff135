"""Which cells are in Slurm's queue: one `squeue` for a study, whose jobs' comment is the name of the list of their cells."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.study.slurm import commands
from pretrain.core.errors import EngineError

JOBS = "jobs"
"""Folder of the lists and the jobs' logs, in the study's own."""
PENDING, RUNNING = "PENDING", "RUNNING"
FEW = 200
"""Ids that a command is given at once."""
_FORMAT = "%F_%K|%T|%r|%k"
_HELD = ("held", "JobHeld")
"""Parts of the reasons why a job waits for a person."""


@dataclass(frozen=True)
class Job:
    """An element of an array in the queue."""

    id: str
    """As Slurm's commands take it: array and index."""
    state: str
    """As Slurm says it: PENDING, RUNNING, COMPLETING, ..."""
    reason: str
    """Why it waits."""

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason not in ("None", "") else ""
        held = any(part in self.reason for part in _HELD)
        return f"job {self.id}, {self.state}{why}" + f"; `scontrol release {self.id}` lets it go" * held


@dataclass(frozen=True)
class Queue:
    """What was in the queue at one moment."""

    jobs: Mapping[str, Job] = field(default_factory=dict)
    """By their ids; whoever's study of this name it is."""
    cells: Mapping[str, Job] = field(default_factory=dict)
    """Id of a cell → its job."""
    unknown: str = ""
    """Why the queue could not be asked; empty if it was."""


def name(study: str) -> str:
    """Return the name of a study's jobs."""
    return f"study-{study}"


def me() -> str | None:
    """Return the id of the job that this process is an element of; None outside of Slurm's arrays.

    NOTE: SLURM_JOB_ID of an array's last element is the array's own id: a command on it would be one on all elements.
    """
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else None


def look(home: Path, besides: str | None = None) -> Queue:
    """Ask which jobs of a study are in the queue.

    Args:
        home: The study's folder, of its name; where nothing was ever submitted, nobody is asked.
        besides: Id of a job that is left out.
    """
    if not (home / JOBS).is_dir():
        return Queue()
    try:
        text = commands.run(["squeue", "--noheader", "--array", f"--name={name(home.name)}", f"--format={_FORMAT}"])
    except EngineError as error:
        return Queue(unknown=str(error))
    return read(text, home, besides)


def read(text: str, home: Path, besides: str | None = None) -> Queue:
    """Read what `squeue` prints. Jobs of another study of this name have lists elsewhere, and so no cells."""
    jobs: dict[str, Job] = {}
    cells: dict[str, Job] = {}
    for line in text.splitlines():
        job, state, reason, comment = [*line.split("|", 3), "", "", ""][:4]
        listed = home / JOBS / Path(comment).name
        if job != besides:
            jobs[job] = Job(job, state, reason)
            cells |= dict.fromkeys(_listed(listed, job.rpartition("_")[2]) if comment else (), jobs[job])
    return Queue(jobs, cells)


def _listed(path: Path, index: str) -> Iterator[str]:
    """Yield the cells of an element: a line of its array's list."""
    try:
        yield from path.read_text(encoding="utf-8").splitlines()[int(index)].split()
    except (OSError, ValueError, IndexError):
        return
