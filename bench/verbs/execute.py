"""Do a plan in its run folder, in one process or several, and stop when a signal asks for it."""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from bench import FIRST, command_line
from bench.options import Place
from bench.runs import lifecycle, logged
from bench.runs.folder import RunFolder, finished, locate
from bench.verbs import Finished, Plan
from pretrain.core import devices, distributed, interrupt, launcher, machine_errors
from pretrain.core.errors import BenchError, WorkerError
from pretrain.core.journal import Journal, Progress
from transfer.record import RunRecord


def execute(plan: Plan, place: Place, progress: Progress, command: str | None = None) -> Finished:
    """Do a run in its folder, unless it is done already.

    Args:
        plan: What to do.
        place: Where; of it, the folder, the number of processes, the loggers, and whether the user expects a checkpoint.
        progress: Called with every step and every line of the log.
        command: Recorded as the exact command; this process's own unless given.

    Raises:
        BenchError: If the folder is not this run's or can't be written, or if the work fails.
        Interrupted: If a signal stopped the run.
    """
    command = command or command_line()
    run = locate(plan.name(), plan.config(), plan.identity(), place.out, command, plan.continues())
    done = finished(run)
    if done is not None:
        return Finished(run.path, done, reused=True)
    if place.devices > 1 and not launcher.launched():
        lifecycle.refuse_held(run)
        del plan  # what it read is left to the processes, which map the same files: this one keeps nothing while it waits
        launcher.launch(place.devices, shlex.split(command)[1:])
        return Finished(run.path, _record_of(run), reused=False)
    devices.compute(tf32=plan.settings.tf32)
    distributed.barrier()  # every process has looked before the first one begins to write
    if distributed.rank():
        with _listening():
            plan.follow(Journal(), run.path)
        distributed.barrier()
        return Finished(run.path, _record_of(run), reused=False)
    led = _lead(plan, run, progress, place)
    distributed.barrier()
    return led


def _lead(plan: Plan, run: RunFolder, progress: Progress, place: Place) -> Finished:
    """Do the first process's part: all that is written."""
    with lifecycle.held(run) as unsupported, machine_errors.translating_os_errors("write the run folder", run.path):
        done = finished(run)
        if done is not None and distributed.world() == 1:  # another process did it between our look and our turn
            return Finished(run.path, done, reused=True)
        again = lifecycle.start(run, plan.device)
        senders = logged.begun(place.loggers, run)
        journal = Journal(run.path, _stopping(progress), senders)
        for sender in senders:
            if sender.logger.where:
                journal.say(f"logged to {sender.logger.name}: {sender.logger.where}")
        if unsupported:
            journal.say(f"{run.path} can't be locked ({unsupported}): run nothing else in it")
        if (again or place.resume) and not lifecycle.has_checkpoint(run):
            journal.say(f"nothing saved in {run.path} yet: starting at step 0")
        result, spent = _done(plan, run, journal)
        for path in spent:
            path.unlink(missing_ok=True)
    return Finished(run.path, result, reused=False)


def _done(plan: Plan, run: RunFolder, journal: Journal) -> tuple[RunRecord, tuple[Path, ...]]:
    """Do the work and write its record; returns it, and the files that are not needed any more."""
    result = None
    try:
        journal.rewind()
        with _listening():
            made = plan.work(journal, run.path)
        result = lifecycle.finish(run, made.fields, wall_seconds=journal.seconds(), device=plan.device)
        journal.finish(result.metrics, result.model_dump(mode="json", exclude={"metrics"}))
    finally:
        journal.close(failed=result is None)
    return result, made.spent


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Let a signal's step be finished and saved. An exception that the signal caused is raised as an interruption."""
    with interrupt.listening("\nstopping after this step; a second signal stops at once\n" if FIRST else ""):
        try:
            yield
        except (BenchError, interrupt.Interrupted):
            raise
        except Exception as error:  # workers killed by the same signal, processes that wait for one that has gone
            stop = interrupt.asked()
            if stop is None:
                raise
            raise interrupt.Interrupted(stop, "nothing since the last checkpoint") from error


def _stopping(progress: Progress) -> Progress:
    """Wrap a progress so that it stops a stage whose loop does not look for signals, at the second step after the signal.

    Such a stage has nothing to save.
    """
    waited = False

    def passed_on(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        nonlocal waited
        progress(stage, done, total, values)
        stop = interrupt.asked() if total else None
        if stop is not None and waited:
            raise interrupt.Interrupted(stop, f"nothing of {stage!r}, which starts again")
        waited = stop is not None

    return passed_on


def _record_of(run: RunFolder) -> RunRecord:
    """Read the record that another process wrote."""
    done = finished(run)
    if done is None:
        raise WorkerError(f"the processes ended without a result in {run.path}", fix=f"see {run.path / 'log.txt'}")
    return done
