"""`--on local`: one coordinator with children on the devices of this machine. It holds nothing that can't be derived again."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.study import child, view
from bench.study import plan as planning
from bench.study.attempts import FAILURES, Attempt, now
from bench.study.cells import Cell
from bench.study.child import Child
from bench.study.cost import Costs
from bench.study.forecast import Forecast
from bench.study.order import Order
from bench.study.plan import StudyPlan
from bench.study.single import do as do
from bench.study.states import Look, Observer, State
from pretrain.core import interrupt
from pretrain.core.counts import counted
from pretrain.core.errors import BenchError, ConfigError
from pretrain.core.launcher import cores

Say = Callable[[str], None]
Show = Callable[[Look, Observer], None]
ALL_DONE, SOME_FAILED, STOPPED = 0, 1, 3
"""Exit codes."""


@dataclass(frozen=True)
class Machine:
    """The devices that cells are started on."""

    devices: tuple[str, ...]
    """Numbers of GPUs; or of workers, on a CPU."""
    gpus: bool

    @property
    def threads(self) -> int:
        """Return the CPU threads of each device's process."""
        return max(1, cores() // len(self.devices))

    def environment(self, cell: Cell, devices: Sequence[str]) -> dict[str, str]:
        """Return the environment of a cell on some of the devices."""
        cpus = cell.resource.cpus
        threads = self.threads if cpus is None else max(1, cpus // cell.resource.devices)
        visible = ",".join(devices) if self.gpus else ""
        return {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": visible, "PYTHONUNBUFFERED": "1"}


def machine(devices: str | None, workers: int | None) -> Machine:
    """Choose the devices: those named, so many workers on the CPU, or every GPU, or one worker where there is none.

    Raises:
        ConfigError: If both are said, or nothing is named.
    """
    if devices is not None and workers is not None:
        raise ConfigError("--devices names GPUs, and --workers counts processes on the CPU", fix="drop one of the two")
    if devices is not None:
        named = tuple(dict.fromkeys(word.strip() for word in devices.split(",") if word.strip()))
        if not named:
            raise ConfigError("no device is named", seen=f"--devices {devices!r}", allowed="such as 0,1")
        return Machine(named, gpus=True)
    if workers is None:
        import torch

        found = tuple(map(str, range(torch.cuda.device_count())))
        if found:
            return Machine(found, gpus=True)
    return Machine(tuple(map(str, range(workers or 1))), gpus=False)


@dataclass
class Coordinator:
    """Starts the cells of a study that are ready, in their order, until none is left."""

    path: Path
    """The study file, which is read again when it changes."""
    elsewhere: tuple[Path, ...]
    on: Machine
    say: Say
    """Is told what happens, a line each."""
    show: Show = lambda look, observer: None
    """Is shown every look."""
    program: Sequence[str] | None = None
    """What `bench` is; None: this very one."""
    poll: float = 0.5
    """Seconds between two looks at the children."""
    every: float = 15.0
    """Seconds between two looks at the records, while no child ends."""
    _live: dict[str, Child] = field(default_factory=dict)
    _since: str = field(default_factory=now)
    _halted: str = ""
    _said: set[str] = field(default_factory=set)
    _stamp: tuple[int, int] = (0, 0)
    _queue: list[Cell] = field(default_factory=list)

    def run(self) -> int:
        """Run the study; returns the exit code.

        Raises:
            ConfigError: With everything that is wrong in the file, before anything starts.
            Interrupted: After a signal, when every child has saved.
        """
        self._stamp = self._stamped()
        self._plan = planning.read(self.path)
        self._observer = Observer.of(self._plan, self.elsewhere)
        child.stop_file(self._plan.home).unlink(missing_ok=True)
        with interrupt.listening("\nasking the running cells to save and to stop; a second signal stops at once\n"):
            try:
                return self._loop()
            finally:
                for each in self._live.values():
                    each.stop()

    def _loop(self) -> int:
        looked = -self.every
        while True:
            ended = self._reap()
            signal, stopped = interrupt.asked(), child.stop_file(self._plan.home).exists()
            if signal is not None or self._stopped_now():
                self._stop_all()
            if ended or time.monotonic() - looked > self.every:
                self._replan()
                look, looked = self._look(), time.monotonic()
            if signal is not None and not self._live:
                raise interrupt.Interrupted(signal, f"what {self._plan.study.study} has done; it goes on")
            if not (signal or stopped or self._halted):
                self._start(look)
            if not self._live and (stopped or self._halted or self._over(look)):
                return self._end(look, stopped=stopped)
            time.sleep(self.poll)

    def _look(self) -> Look:
        look = self._observer.look(self._plan, self._live)
        costs = Costs(self._observer.records.all())

        def seconds(cell: Cell) -> float:
            found = costs.of(cell)
            return found.seconds if found else 0.0

        self._queue = Order(self._plan, seconds).sorted(look.having(State.READY))
        self.show(look, self._observer)
        return look

    def _start(self, look: Look) -> None:
        """Start what is ready and finds its devices free."""
        busy = {device for each in self._live.values() for device in each.devices}
        free = [device for device in self.on.devices if device not in busy]
        waiting = []
        for cell in self._queue:
            wanted = cell.resource.devices
            if wanted > len(self.on.devices):
                self._once(f"{cell.folder.name} needs {wanted} devices, and there are {len(self.on.devices)}: it is left")
            elif wanted > len(free):
                waiting.append(cell)
            elif self._start_one(cell, look, tuple(free[:wanted])):
                free = free[wanted:]
        self._queue = waiting

    def _start_one(self, cell: Cell, look: Look, devices: tuple[str, ...]) -> bool:
        called = f"{'GPU' if self.on.gpus else 'worker'} {','.join(devices)}"
        started = child.start(
            cell,
            look.checkpoints.get(cell.id),
            self._observer.attempts,
            self._plan.study.retries,
            devices=devices,
            called=called,
            environment=self.on.environment(cell, devices),
            program=self.program,
        )
        if started is not None:
            self._live[cell.id] = started
            self.say(f"started {cell.folder.name} on {called}")
        return started is not None

    def _reap(self) -> bool:
        """Note the children that ended; returns whether any did."""
        ended = [(key, attempt) for key, each in self._live.items() if (attempt := each.ended()) is not None]
        for key, attempt in ended:
            self._tell(self._live.pop(key).cell, attempt)
        return bool(ended)

    def _tell(self, cell: Cell, attempt: Attempt) -> None:
        message = attempt.message.partition("\n")[0]
        self.say(f"{attempt.ended}: {cell.folder.name}, {attempt.seconds:.0f} s" + f": {message}" * bool(message))
        if attempt.ended in FAILURES and (halted := self._observer.attempts.halted(self._plan.cells, self._since)):
            self._halted = halted
            self._once(halted)

    def _replan(self) -> None:
        """Read the file again if it changed; while it is wrong, the last good one counts."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(planning.read(self.path))
        except BenchError as error:
            self.say(f"{self.path} has changed and can't be used; the former plan goes on\n{error}")

    def _take(self, plan: StudyPlan) -> None:
        new, old = plan.cells.keys() - self._plan.cells.keys(), self._plan.cells.keys() - plan.cells.keys()
        self.say(f"{self.path} has changed: {len(new)} new cells, {len(old)} dropped")
        if (plan.home, plan.study.runs) != (self._plan.home, self._plan.study.runs):
            self._observer = Observer.of(plan, self.elsewhere)
        self._plan = plan

    def _stamped(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except OSError:
            return (0, 0)
        return status.st_mtime_ns, status.st_size

    def _stopped_now(self) -> bool:
        try:
            return bool(child.stop_file(self._plan.home).read_text(encoding="utf-8").strip())
        except OSError:
            return False

    def _stop_all(self) -> None:
        for each in self._live.values():
            each.stop()

    def _over(self, look: Look) -> bool:
        """Whether nothing is left that this coordinator could start, now or when others are done."""
        able = [cell for cell in look.having(State.READY) if cell.resource.devices <= len(self.on.devices)]
        others = look.having(State.RUNNING)
        if others and not able:
            self._once(f"waiting for {counted(len(others), 'cell')} that other processes run")
        return not able and not others

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.say(line)

    def _end(self, look: Look, *, stopped: bool) -> int:
        self.say(view.summary(look))
        for line in view.failures(look, self._observer.attempts):
            self.say(line)
        if len(look.having(State.DONE)) == len(look.states):
            return ALL_DONE
        return STOPPED if stopped else SOME_FAILED


def preview(made: Forecast) -> list[str]:
    """Return lines on how the cells that are ready would be started: nothing more than their commands."""
    return []


def run(path: Path, elsewhere: tuple[Path, ...], options: Mapping[str, Any], say: Say, show: Show) -> int:
    """Run a study on this machine's devices; see `bench.study.PLACES`.

    Args:
        path: The study file.
        elsewhere: Folders whose records count, too.
        options: `devices`: numbers of GPUs, and `workers`: processes on the CPU, of which one may be given.
        say: Is told what happens, a line each.
        show: Is shown every look.
    """
    return Coordinator(path, elsewhere, machine(options.get("devices"), options.get("workers")), say, show).run()
