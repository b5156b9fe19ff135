"""What an element asks Slurm about itself: how long it has, whether it runs, to come back; and what its log says of its end."""

import os
import re
import time
from pathlib import Path
from typing import Literal

from bench.study import times
from bench.study.slurm import commands
from bench.study.slurm.queue import JOBS, RUNNING
from pretrain.core.errors import EngineError

LIST = "BENCH_STUDY_LIST"
"""Environment variable that names the list of the array."""
_ASK_AGAIN = 60.0
"""Seconds after which a controller that gave no answer is asked again."""
_PATIENCE, _PAUSE = 60.0, 5.0
"""Seconds in which a controller that restarts is waited for before a job leaves, and between two questions."""
_END = re.compile(rb"\*\*\* JOB \d+ ON \S+ CANCELLED AT \S+(?: DUE TO ([A-Z ]+))?")
_LONGEST = 65_536
"""Bytes of the end of a log that are read."""


class Deadline:
    """When a job must let its cell save."""

    def __init__(self, job: str, save: int) -> None:
        """Ask how long the job has.

        Args:
            job: Its id.
            save: Seconds that saving may take; of a short job, a third of its time at most.
        """
        self._job, self._save = job, save
        self.margin = 0.0
        self._end: float | None = None
        self._asked = 0.0
        self._ask()

    def near(self) -> bool:
        """Return whether it is time to save; asked again then, for an administrator may have given more."""
        if self._end is None:
            if self._asked and time.monotonic() - self._asked > _ASK_AGAIN:
                self._ask()
        elif time.monotonic() > self._end - self.margin:
            self._ask()
        return self._end is not None and time.monotonic() > self._end - self.margin

    def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            text = commands.run(["squeue", "--noheader", f"--jobs={self._job}", "--format=%L"]).strip()
        except EngineError:
            return
        left = times.seconds(text)
        if left is None:  # UNLIMITED
            self._end, self._asked = None, 0.0
            return
        self._end = time.monotonic() + left
        self.margin = self.margin or min(self._save, left / 3)


def requeue(job: str) -> Literal["done", "not running", "refused"]:
    """Put a job that runs back into the queue. One that doesn't run was cancelled, or Slurm itself requeues it."""
    deadline = time.monotonic() + _PATIENCE
    while (state := _state(job)) is None and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    if state is not None and state != RUNNING:
        return "not running"
    try:
        commands.run(["scontrol", "requeue", job])
    except EngineError as error:
        print(error, flush=True)
        return "refused"
    return "done"


def _state(job: str) -> str | None:
    """Ask for a job's state; None where nobody answers."""
    try:
        return commands.run(["squeue", "--noheader", f"--jobs={job}", "--format=%T"]).strip() or "gone"
    except EngineError:
        return None


def restarts(job: str) -> int:
    """Ask how often a job was put back into the queue."""
    try:
        found = re.search(r"\bRestarts=(\d+)", commands.run(["scontrol", "--oneliner", "show", "job", job]))
    except EngineError:
        return 0
    return int(found[1]) if found else 0


def log(home: Path, job: str) -> Path:
    """Return the file of what a job printed, in its study's folder."""
    return home / JOBS / f"{job}.txt"


def cancelled(path: Path) -> str | None:
    """Read in a job's log why Slurm ended it: `JOB REQUEUE`, `TIME LIMIT`, `PREEMPTION`, `NODE FAILURE`, or an empty text if a
    person cancelled it; None if it doesn't say.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LONGEST))
            found = _END.findall(file.read())
    except OSError:
        return None
    return found[-1].decode().strip() if found else None


def freed_by_the_system(home: Path, job: str) -> bool:
    """Return whether Slurm ended this job for a reason of its own and doesn't bring it back."""
    if restarts(job) > int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        return False
    return bool(cancelled(log(home, job)))
