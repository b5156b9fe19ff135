"""A cell's command as a child process: it dies of no signal unsaved, and no two processes start the same cell."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench.runs import lock
from bench.runs.outcome import VARIABLE
from bench.study.attempts import OUTCOME, Attempt, Attempts, judged
from bench.study.cells import CONVERT, Cell
from bench.study.conversions import is_done
from pretrain.core.errors import ConfigError

PROGRAM = (sys.executable, "-m", "bench")
"""What `bench` is here."""
_PR_SET_PDEATHSIG = 1
"""prctl(2)."""


@dataclass
class Child:
    """A command that runs, and what its cell holds while it does."""

    cell: Cell
    devices: tuple[str, ...]
    attempts: Attempts
    process: "subprocess.Popen[bytes]"
    until_done: contextlib.ExitStack
    halt: Callable[[], None] | None = None
    """Asks it to stop where a signal to its process is not the way."""
    began: float = field(default_factory=time.monotonic)
    asked: bool = False

    def stop(self) -> None:
        """Ask it to save and to end."""
        if not self.asked and self.process.poll() is None:
            if self.halt is None:
                self.process.send_signal(signal.SIGTERM)
            else:
                self.halt()
        self.asked = True

    def ended(self) -> Attempt | None:
        """Return how it ended, which is noted; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        folder = self.attempts.folder(self.cell.id)
        attempt = judged(code, folder / OUTCOME, time.monotonic() - self.began, asked=self.asked)
        if attempt.ended == "done" and not self.cell.output.is_file():
            attempt = Attempt("fault", "NoRecord", f"the command ended well and wrote no {self.cell.output.name}", code)
        if attempt.ended != "held":
            self.attempts.note(self.cell.id, attempt)
        self.until_done.close()
        return attempt


def start(
    cell: Cell,
    checkpoint: str | None,
    attempts: Attempts,
    retries: int,
    *,
    devices: tuple[str, ...] = (),
    called: str = "",
    environment: Mapping[str, str],
    program: Sequence[str] | None = None,
    logged: bool = True,
    halt: Callable[[], None] | None = None,
) -> Child | None:
    """Start a cell's command, unless another process attempts it, has done it meanwhile, or has found that it fails.

    The child has a session of its own, so that a terminal's Ctrl-C reaches it by us alone; should this process die, the kernel
    sends it a SIGTERM.

    Args:
        cell: The cell.
        checkpoint: Where its backbone lies, if not where it is planned.
        attempts: Of its study.
        retries: Of its study.
        devices: For the caller.
        called: What the devices are called, for `bench study status`.
        environment: Of the command.
        program: What `bench` is; None: `PROGRAM`.
        logged: Whether its output goes into the attempt's log; else to this process's own.
        halt: Asks it to stop; None: a SIGTERM does.
    """
    folder = attempts.folder(cell.id)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock.held(folder))
        except ConfigError:
            return None
        if _is_done(cell, checkpoint) or attempts.failure(cell.id, retries) is not None:
            return None
        (folder / OUTCOME).unlink(missing_ok=True)
        if cell.kind == CONVERT:  # which refuses a folder that isn't there
            cell.folder.mkdir(parents=True, exist_ok=True)
        attempts.begin(cell.id)
        attempts.put(cell.id, called)
        log = held.enter_context(attempts.log(cell.id).open("ab")) if logged else None
        command = [*(program or PROGRAM), *cell.command(checkpoint)[1:]]
        process = _popen(command, {**environment, VARIABLE: str((folder / OUTCOME).absolute())}, log)
        return Child(cell, devices, attempts, process, held.pop_all(), halt)


def _is_done(cell: Cell, checkpoint: str | None) -> bool:
    """Return whether another process did a cell since it was looked at."""
    if cell.kind == CONVERT and cell.subject is not None:
        return is_done(cell, checkpoint or cell.subject.checkpoint)
    return cell.output.is_file()


def _popen(command: Sequence[str], environment: Mapping[str, str], log: IO[bytes] | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log else None,
        start_new_session=True,
        preexec_fn=_dying_with(os.getpid()),
    )


def _dying_with(parent: int) -> Callable[[], None] | None:
    """Make what a child calls before its command, so that it is asked to stop when its parent dies; Linux alone has such."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def call() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before that
            os.kill(os.getpid(), signal.SIGTERM)

    return call


def stop_file(home: Path) -> Path:
    """Return the file by which `bench study stop` is heard."""
    return home / "stop"
