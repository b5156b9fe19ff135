"""`run --on slurm`: submits what is ready and leaves; with `--watch` it stays, and tops up until nothing is left."""

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.study import child, view
from bench.study import plan as planning
from bench.study.cells import Cell
from bench.study.forecast import Forecast
from bench.study.local import ALL_DONE, SOME_FAILED, STOPPED, Say, Show
from bench.study.plan import StudyPlan
from bench.study.slurm import element, queue
from bench.study.slurm.batches import batches
from bench.study.slurm.submitting import LARGEST, Submitter
from bench.study.states import Look, Observer, State
from pretrain.core.errors import BenchError, ConfigError

EVERY = 60.0
"""Seconds between two looks at the queue."""


def run(path: Path, elsewhere: tuple[Path, ...], options: Mapping[str, Any], say: Say, show: Show) -> int:
    """Submit what is ready, as `bench.study.PLACES` says; may be called at any time, by anybody, any number of times.

    Raises:
        ConfigError: For options of another place, or with everything that is wrong in the file.
        EngineError: If Slurm's commands aren't here, or a submission is refused.
    """
    for option in ("devices", "workers"):
        if options.get(option) is not None:
            fix = "`resources` and `slurm` in the file say what jobs are asked for"
            raise ConfigError(f"--{option} is of --on local", fix=fix)
    plan = planning.read(path)
    child.stop_file(plan.home).unlink(missing_ok=True)
    submitter = Submitter(Observer.of(plan, elsewhere), elsewhere, say)
    submitter.top_up(plan)
    return _watch(path, plan, submitter, show) if options.get("watch") else _left(plan, submitter)


def preview(made: Forecast) -> list[str]:
    """Return the submissions of the cells that are ready, as they are typed.

    Raises:
        ConfigError: If the study does not say what a device is.
    """

    def seconds(cell: Cell) -> float | None:
        found = made.estimates.get(cell.id)
        return found.seconds if found else None

    plan = made.look.plan
    arrays = batches(plan, made.order.sorted(made.look.having(State.READY)), seconds, LARGEST)
    words = (batch.options(plan.study.study, plan.home / queue.JOBS, "LIST") for batch in arrays)
    return ["submitted as:", *(f"  {shlex.join(each)}" for each in words)]


def do(path: Path, names: Sequence[str], elsewhere: tuple[Path, ...], *, wait: bool = False) -> int:
    """Do the cells of an element of an array, as `bench.study.PLACES` says; it waits for no other process, for the queue does.

    Raises:
        ConfigError: Where this process is none.
    """
    me = queue.me()
    if me is None:
        fix = "`bench study run --on slurm` submits cells; `bench study cell` without --on does one here"
        raise ConfigError("--on slurm is for the jobs that the study submits", fix=fix)
    return element.run(path, names, elsewhere, me)


def _left(plan: StudyPlan, submitter: Submitter) -> int:
    """Say what the queue has now."""
    look = submitter.observer.look(plan)
    _tell(look, submitter)
    if look.having(State.RUNNING):
        submitter.say("jobs go on without this command; each submits what it makes ready; `bench study status` shows them")
    return _code(look)


def _watch(path: Path, plan: StudyPlan, submitter: Submitter, show: Show) -> int:
    """Top up until nothing is left that could run. Ctrl-C ends the watching, and no job."""
    said = ""
    while True:
        look = submitter.observer.look(plan)
        show(look, submitter.observer)
        stopped = child.stop_file(plan.home).exists()
        if not look.having(State.RUNNING) and (stopped or submitter.halted or not look.having(State.READY)):
            _tell(look, submitter)
            return STOPPED if stopped and look.having(State.READY, State.WAITING) else _code(look)
        time.sleep(EVERY)
        try:
            plan = planning.read(path)
            submitter.top_up(plan)
            said = ""
        except BenchError as error:  # a file that is being edited, a controller that restarts
            if str(error) != said:
                submitter.say(f"nothing can be submitted now\n{error}")
            said = str(error)


def _tell(look: Look, submitter: Submitter) -> None:
    submitter.say(view.summary(look))
    for line in view.failures(look, submitter.observer.attempts):
        submitter.say(line)


def _code(look: Look) -> int:
    return SOME_FAILED if look.having(State.FAILED, State.IMPOSSIBLE) else ALL_DONE
