"""Stopping when asked: a signal leaves a mark, the loops look for it after every step, save what they have, and stop.

Outside those loops, and at a second signal, a command stops at once.
"""

import atexit
import contextlib
import multiprocessing.util
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What a user's Ctrl-C and a cluster's scheduler send."""
TOGETHER = 2.0
"""Seconds in which one request may arrive twice: from the scheduler itself, and passed on by torch's launcher."""

_mark: signal.Signals | None = None
_marked = 0.0


class Interrupted(Exception):  # noqa: N818, as in KeyboardInterrupt: nothing is wrong
    """A run that stopped because it was asked to, after it had saved what it had.

    Not a `BenchError`: nothing is wrong, and the exit code is the signal's.
    """

    def __init__(self, by: signal.Signals, saved: str) -> None:
        super().__init__(saved)
        self.by, self.saved = by, saved
        """The signal; what was saved, in words: `step 120 of 4,680`. Nothing where other processes have said it."""

    @property
    def code(self) -> int:
        """The conventional exit code: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.by


class Stopped(BaseException):
    """A command that stopped at once, wherever it was. What was saved before stays; no `except Exception` holds it up."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(by.name)
        self.by, self.code = by, 128 + by


def asked() -> signal.Signals | None:
    """The signal that asked for a stop since `listening` began; None where none did."""
    return _mark


def agreed() -> signal.Signals | None:
    """What `asked` says in any of the processes, which all call this after the same step, and so stop together."""
    from pretrain.core import distributed  # imports torch, which `bench --help` does without

    found = distributed.largest(asked() or 0)
    return signal.Signals(found) if found else None


@contextlib.contextmanager
def listening(tell: str = "") -> Iterator[None]:
    """While it lasts, the first signal only leaves a mark; `tell` is then written to stderr. For a command's main thread."""
    global _mark
    _mark = None

    def leave_mark(number: int, frame: FrameType | None) -> None:
        global _mark, _marked
        if _mark is not None and time.monotonic() - _marked > TOGETHER:
            raise Stopped(signal.Signals(number))
        if _mark is None:
            _mark, _marked = signal.Signals(number), time.monotonic()
            os.write(2, tell.encode())  # unlike print, safe wherever the signal came

    with _handled_by(leave_mark):
        try:
            yield
        finally:
            _mark = None


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """While it lasts, and nobody is `listening`, a signal raises `Stopped`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(signal.Signals(number))

    with _handled_by(stop):
        yield


def ignore(worker: int = 0) -> None:
    """For processes that load: Ctrl-C goes to them too, but the one that trains says when they end."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


@atexit.register  # after the import of multiprocessing.util, and so called before what that registered
def _end_loaders() -> None:
    """What is left of the processes that load when the command ends, for instance by an error, would ignore the SIGTERM by
    which multiprocessing ends them, and it would wait for them for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # of torch, which takes a killed process for a fault
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only that one may handle signals
        yield
        return
    before = {each: signal.signal(each, handler) for each in SIGNALS}
    try:
        yield
    finally:
        for each, was in before.items():
            signal.signal(each, was)
