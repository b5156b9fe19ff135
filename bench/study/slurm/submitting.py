"""What is ready → the queue, once: under a lock, with a list for each array that the queue leads back to."""

import contextlib
import dataclasses
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.runs import lock
from bench.study import attempts, child
from bench.study.attempts import Attempt
from bench.study.cells import Cell
from bench.study.cost import Costs
from bench.study.local import Say
from bench.study.order import Order
from bench.study.plan import StudyPlan
from bench.study.slurm import commands
from bench.study.slurm.batches import Batch, batches, script
from bench.study.slurm.queue import JOBS
from bench.study.states import Look, Observer, State
from pretrain.core.counts import counted
from pretrain.core.errors import ConfigError, EngineError

LARGEST = 1000
"""Elements of an array where Slurm does not say how many it takes."""
STUDY = ".yaml"
"""Beside a list: the study file as it was when its array was submitted."""
_PATIENCE = 60.0
"""Seconds to wait for another process that submits."""
_FULL = ("AssocMaxSubmitJobLimit", "QOSMaxSubmitJob", "MaxSubmit", "job submit limit", "AssocGrpSubmitJobsLimit")
"""Parts of what sbatch says where the user has as many jobs in the queue as the site allows."""


@dataclass
class Submitter:
    """Tops up the queue with what is ready."""

    observer: Observer
    elsewhere: tuple[Path, ...]
    say: Say
    halted: str = ""
    """Why nothing is submitted; empty if that is not so."""

    def top_up(self, plan: StudyPlan) -> Look:
        """Submit the cells that are ready and that no job has; returns the states before.

        Raises:
            EngineError: If the queue can't be asked, or a submission is refused.
            ConfigError: If the study does not say what a device is.
        """
        jobs = plan.home / JOBS
        jobs.mkdir(parents=True, exist_ok=True)
        with _alone(jobs) as mine:
            look = self.observer.look(plan)
            assert self.observer.owners is not None
            if self.observer.owners.queue.unknown:
                raise EngineError(self.observer.owners.queue.unknown)
            if mine and not child.stop_file(plan.home).exists():
                self._note_lost(look)
                for batch in self._batches(look):
                    self._submit(plan, batch, jobs)
        return look

    def _note_lost(self, look: Look) -> None:
        for cell, attempt in look.lost.items():
            self.observer.attempts.note(cell, attempt)
            self.say(f"lost: {look.plan.cells[cell].folder.name}: {attempt.message}")

    def _batches(self, look: Look) -> list[Batch]:
        """Choose what is submitted: in the study's order, no more than it may have in the queue."""
        self.halted = self.observer.attempts.halted(look.plan.cells)
        if self.halted:
            self.say(self.halted)
            return []
        costs = Costs(self.observer.records.all())

        def seconds(cell: Cell) -> float | None:
            found = costs.of(cell)
            return found.seconds if found else None

        ready = Order(look.plan, lambda cell: seconds(cell) or 0.0).sorted(look.having(State.READY))
        made = batches(look.plan, ready, seconds, _largest() if ready else LARGEST, self.observer.attempts.faulty)
        most = look.plan.study.slurm.jobs
        return made if most is None else list(_first(made, most - len(set(look.jobs.values()))))

    def _submit(self, plan: StudyPlan, batch: Batch, jobs: Path) -> None:
        """Write an array's list, submit it, and note its jobs.

        Raises:
            EngineError: With sbatch's own message, if it refuses for another reason than that the queue is full.
        """
        token = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"
        listed = jobs / token
        listed.write_text(batch.listed(), encoding="utf-8")
        shutil.copyfile(plan.path, listed.with_name(token + STUDY))
        text = script(plan, batch.slurm, listed, self.elsewhere)
        try:
            array = _sbatch(batch, plan.study.study, jobs, token, text)
        except EngineError as error:
            listed.unlink()
            listed.with_name(token + STUDY).unlink()
            if any(part in str(error) for part in _FULL):
                self.say(
                    f"the queue takes no more of your jobs now; {counted(len(batch.cells), 'cell')} left for the next `run`"
                )
                return
            raise
        for index, element in enumerate(batch.elements):
            for cell in element:
                self.observer.attempts.note(cell.id, Attempt("submitted", at=attempts.now(), job=f"{array}_{index}"))
        count = len(batch.elements)
        self.say(f"submitted: {counted(len(batch.cells), 'cell')} as array {array} of {counted(count, 'job')}")


def _sbatch(batch: Batch, name: str, jobs: Path, token: str, text: str) -> str:
    """Submit an array and return its id; where it can't be had without the nodes that failed, with them.

    Raises:
        EngineError: If it is refused.
    """
    try:
        return commands.run(batch.options(name, jobs, token), text).strip().partition(";")[0]
    except EngineError:
        if not batch.avoid:
            raise
        return _sbatch(dataclasses.replace(batch, avoid=frozenset()), name, jobs, token, text)


def _first(made: list[Batch], most: int) -> Iterator[Batch]:
    """Yield the first elements of some arrays, so many at most."""
    for batch in made:
        elements = batch.elements[: max(0, most)]
        most -= len(elements)
        if elements:
            yield dataclasses.replace(batch, elements=elements)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold a folder, and wait for another process that does; yields whether it is held, which may take too long."""
    deadline = time.monotonic() + _PATIENCE
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock.held(folder))
            except ConfigError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.2)
            else:
                yield True
                return


def _largest() -> int:
    """Ask how many elements an array may have."""
    try:
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", commands.run(["scontrol", "show", "config"]))
    except EngineError:
        return LARGEST
    return max(1, int(found[1]) - 1) if found else LARGEST
