"""An element of an array: does its cells one after another, lets them save before its end, and queues itself again.

It is the process that Slurm's signals go to, for the job's script becomes it (`exec`).
"""

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.study import attempts, child
from bench.study import plan as planning
from bench.study.attempts import Attempt, Ended
from bench.study.cells import Cell
from bench.study.child import Child
from bench.study.plan import StudyPlan
from bench.study.slurm import job, launching
from bench.study.slurm.submitting import STUDY, Submitter
from bench.study.states import Look, Observer, State
from pretrain.core import interrupt
from pretrain.core.errors import BenchError

POLL, CALM = 0.2, 2.0
"""Seconds between two looks at the child, and at the file by which `bench study stop` is heard."""


@dataclass
class Element:
    """One job."""

    plan: StudyPlan
    observer: Observer
    id: str
    until: job.Deadline
    asked: list[int]
    """Signals that came."""
    freed: bool = False
    """Whether a cell was left that another job has to do."""
    code: int = 0
    _began: float = field(default_factory=time.monotonic)

    def do(self, names: Sequence[str]) -> bool:
        """Do cells; returns whether it came to their end, whatever that was for each."""
        for name in names:
            cell = self.plan.cells.get(name)
            if cell is None:
                say(f"{name} is planned no more")
            elif not self._one(cell):
                return False
        return True

    def _one(self, cell: Cell) -> bool:
        """Do a cell, if it is ready; returns whether the job may go on with another one."""
        look = self.observer.look(self.plan)
        stopped = self._stop_heard()
        if stopped or self.asked:
            say("`bench study stop` was heard" if stopped else "asked to stop")
            self._leave(cell, free=stopped)
            return False
        if look.states[cell.id] is not State.READY:
            say(f"{cell.folder.name}: {' '.join(filter(None, [look.states[cell.id], look.why.get(cell.id)]))}")
            return True
        if halted := self.observer.attempts.halted(self.plan.cells):
            say(halted)
            self._leave(cell, free=True)
            return False
        try:
            started = self._start(cell, look)
        except BenchError as error:
            self._unstarted(cell, error)
            return True
        if started is None:
            say(f"{cell.folder.name} is attempted by another process")
            return True
        return self._wait(started)

    def _start(self, cell: Cell, look: Look) -> Child | None:
        launch = launching.of(cell, self.plan.study.slurm)
        say(look.line(launch.cell))
        return child.start(
            launch.cell,
            look.checkpoints.get(cell.id),
            self.observer.attempts,
            self.plan.study.retries,
            environment=launch.environment,
            program=launch.program,
            halt=launch.halt,
        )

    def _wait(self, started: Child) -> bool:
        """Wait for the end of a child, or of the time."""
        looked, free, late = 0.0, False, False
        saved, whole = _saved(started.cell), time.monotonic() - self._began < self.until.margin
        while (ended := started.ended()) is None:
            if time.monotonic() - looked > CALM and not started.asked:
                looked = time.monotonic()
                free = self._stop_heard(now=True)
                late = self.until.near()
            if (self.asked or free or late) and not started.asked:
                if self.asked and not late:
                    self._given_up(started.cell)
                say(f"asking {started.cell.folder.name} to save: {_reason(self.asked, free)}")
                started.stop()
            time.sleep(POLL)
        say(f"{ended.ended}: {started.cell.folder.name}, {ended.seconds:.0f} s" + f": {ended.message}" * bool(ended.message))
        if ended.ended != "stopped":
            self.code = 0 if ended.ended in ("done", "held") else 1
            return not started.asked
        if late and whole and _saved(started.cell) == saved:
            self._too_short(started.cell, ended)
            return False
        self._leave(started.cell, free=free)
        return False

    def _unstarted(self, cell: Cell, error: BenchError) -> None:
        """Note what kept a cell from being started: its data, or this machine."""
        name = type(error).__name__
        ended: Ended = "mistake" if name in attempts.MISTAKES else "fault"
        say(f"{ended}: {cell.folder.name}: {error}")
        noted = Attempt(ended, name, str(error), host=attempts.host(), at=attempts.now())
        self.observer.attempts.note(cell.id, noted)
        self.code = 1

    def _given_up(self, cell: Cell) -> None:
        """Note at once, should the time to save not suffice, that this job stops its cell: if it doesn't come back into the
        queue, a person cancelled it.
        """
        self.observer.attempts.note(cell.id, Attempt("stopped", host=attempts.host(), at=attempts.now()))

    def _leave(self, cell: Cell, *, free: bool) -> None:
        """Put this job back into the queue where it runs. Its cell is freed where nobody else would bring it back, unless a
        person cancelled the job.
        """
        self.code = interrupt.exit_code(signal.SIGTERM)
        if not free:
            went = job.requeue(self.id)
            free = went == "refused" or (went == "not running" and job.freed_by_the_system(self.plan.home, self.id))
        if free:
            self.freed = True
            self.observer.attempts.note(cell.id, Attempt("freed", host=attempts.host(), at=attempts.now()))

    def _too_short(self, cell: Cell, ended: Attempt) -> None:
        """Note that a whole job does not suffice for what can't be resumed, which would be started for ever."""
        message = (
            f"it saved nothing within the time of a job, {ended.seconds:.0f} s: write a longer `time` into `resources`, "
            "then `bench study retry`"
        )
        self.observer.attempts.note(cell.id, dataclasses.replace(ended, ended="mistake", error="TimeLimit", message=message))
        self.code = 1

    def _stop_heard(self, *, now: bool = False) -> bool:
        """Whether nothing is to be started any more; `now`: or to go on."""
        try:
            said = child.stop_file(self.plan.home).read_text(encoding="utf-8").strip()
        except OSError:
            return False
        return not now or bool(said)


def run(path: Path, names: Sequence[str], elsewhere: tuple[Path, ...], id_: str) -> int:
    """Do the cells of an element, and submit what it made ready; returns the exit code.

    Args:
        path: The study file; while it is wrong, that of the submission counts.
        names: Ids of the cells.
        elsewhere: Further folders with records.
        id_: Of the job.
    """
    with _listening() as asked:
        plan, current = _plan(path)
        observer = Observer.of(plan, elsewhere, job=id_)
        element = Element(plan, observer, id_, job.Deadline(id_, plan.study.slurm.save), asked)
        over = element.do(names)
        if current and (element.freed or (over and _frees(plan, names))):
            _top_up(plan, elsewhere, id_)
    return element.code


def _plan(path: Path) -> tuple[StudyPlan, bool]:
    """Read the study file; while it is wrong, as it was when this job was submitted. Returns whether it is right."""
    try:
        return planning.read(path), True
    except BenchError as error:
        copy = Path(os.environ.get(job.LIST, "") + STUDY)
        if not copy.is_file():
            raise
        say(f"{path} can't be used; the study goes on as it was when this job was submitted\n{error}")
        return dataclasses.replace(planning.read(copy), path=path), False


def _frees(plan: StudyPlan, names: Sequence[str]) -> bool:
    """Whether more can be submitted when some cells are done: what needs them, or what found the queue full."""
    return plan.study.slurm.jobs is not None or any(cell.needs in names for cell in plan.cells.values())


def _top_up(plan: StudyPlan, elsewhere: tuple[Path, ...], id_: str) -> None:
    """Submit what is ready, where a node may."""
    try:
        Submitter(Observer.of(plan, elsewhere, job=id_, leaving=True), elsewhere, say).top_up(plan)
    except BenchError as error:
        say(f"nothing can be submitted from here; give `bench study run` again where jobs are submitted\n{error}")


@contextlib.contextmanager
def _listening() -> Iterator[list[int]]:
    """Mark every signal within the block: Slurm sends more than one, and none of them may end this process unsaved."""
    marked: list[int] = []
    before = {each: signal.signal(each, lambda number, frame: marked.append(number)) for each in interrupt.SIGNALS}
    try:
        yield marked
    finally:
        for each, was in before.items():
            signal.signal(each, was)


def _saved(cell: Cell) -> set[tuple[Path, int]]:
    """What a run left to resume from, with its time."""
    found = set()
    with contextlib.suppress(OSError):
        found = {(path, path.stat().st_mtime_ns) for path in cell.folder.rglob("*.pth") if not path.name.startswith("backbone")}
    return found


def _reason(signalled: object, free: bool) -> str:
    return "a signal came" if signalled else "`bench study stop --now` was heard" if free else "the end of this job is near"


def say(line: str) -> None:
    """Print a line into the job's log."""
    print(f"{attempts.now()} {line}", flush=True)
