"""`bench` in forked children that are killed: copies of a process that has imported everything, which start in milliseconds.

The parent never trains: a child inherits no thread and no lock of torch's.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from pretrain.core import interrupt

SAVING = (".tmp", "model_", "iter_")
"""What names of files have that are being written: our temporary ones, and the checkpoints of Detectron2 and mmengine."""

Due = Callable[[float], bool]
"""Called every millisecond with the seconds since the start: whether now is the moment."""


@dataclass(frozen=True)
class Ended:
    """The end of a child."""

    code: int
    """Its exit code; −9 if it was killed."""
    said: str
    """Everything that it printed."""
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it before it was done."""
        return self.code == -signal.SIGKILL


def bench(words: Iterable[str], said: Path, *, due: Due | None = None, by: signal.Signals = signal.SIGKILL) -> Ended:
    """Run a command in a child; where `due` names a moment, send it and its loaders the signal then."""
    began = time.monotonic()
    pid = _forked(list(words), said)
    while True:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if not gone and due is not None and due(time.monotonic() - began):
            os.killpg(pid, by)
            due = None
        if gone:
            text = said.read_text(encoding="utf-8", errors="replace")
            return Ended(os.waitstatus_to_exitcode(status), text, time.monotonic() - began)
        time.sleep(0.001)


def after(seconds: float) -> Due:
    """Name the moment `delay` seconds after the start."""
    return lambda elapsed: elapsed >= seconds


def saving(folder: Path, count: int, delay: float) -> Due:
    """Name the moment `delay` seconds after the `count`th file began to be written in a run's folder."""
    seen: set[tuple[str, int]] = set()
    since: list[float] = []

    def due(elapsed: float) -> bool:
        new = _being_written(folder) - seen
        seen.update(new)
        if len(seen) >= count and not since:
            since.append(elapsed)
        return bool(since) and elapsed - since[0] >= delay

    return due


def _being_written(folder: Path) -> set[tuple[str, int]]:
    found = set()
    for place in (folder, folder / "detectron2", folder / "mmseg"):
        try:
            entries = list(os.scandir(place))
        except FileNotFoundError:
            continue
        found |= {(entry.name, entry.inode()) for entry in entries if any(part in entry.name for part in SAVING)}
    return found


def _forked(words: list[str], said: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, interrupt.SIGNALS)  # until the child has its handlers
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupt.SIGNALS)
        return pid
    code = 70  # a bug of this file's
    try:
        to = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(to, stream)
        code = _main(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(words: list[str]) -> int:
    """Return the code that the command's process would exit with."""
    from bench import cli

    os.setpgid(0, 0)
    torch.set_num_threads(1)
    sys.argv = ["bench", *words]
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8") for stream in (1, 2))
    try:
        with interrupt.at_once():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupt.SIGNALS)
            cli.main()
    except interrupt.Stopped as stop:  # before the command had begun
        return int(stop.code)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
