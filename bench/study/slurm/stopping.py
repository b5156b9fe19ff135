"""`bench study stop` where a study's jobs wait in Slurm's queue; what runs looks for the file that `stop` writes."""

from pathlib import Path

from bench.study import attempts
from bench.study.attempts import Attempt, Attempts
from bench.study.slurm import commands, queue
from pretrain.core.errors import EngineError


def cancel_waiting(home: Path) -> int:
    """Take a study's waiting jobs out of the queue, and free their cells for the next `run`; returns how many jobs.

    Raises:
        EngineError: If the queue can't be asked.
    """
    asked = queue.look(home)
    if asked.unknown:
        raise EngineError(asked.unknown)
    waiting = list(dict.fromkeys(job for job in asked.cells.values() if job.state == queue.PENDING))
    for cell, job in asked.cells.items():
        if job in waiting:  # freed before: a job that vanishes unfreed is one that a person cancelled
            Attempts(home).note(cell, Attempt("freed", at=attempts.now(), job=job.id))
    for begin in range(0, len(waiting), queue.FEW):
        commands.run(["scancel", "--state=PENDING", *(job.id for job in waiting[begin : begin + queue.FEW])])
    return len(waiting)
