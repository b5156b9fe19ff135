"""Stopping when asked: a signal sets a mark; the loops check it after every step, save their state, and stop.

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
"""Seconds within which two signals are one request: the scheduler's own, and its copy from torch's launcher."""
_EXIT_CODE = 128
"""The shell's convention: a process stopped by signal S exits with 128 + S."""

_mark: signal.Signals | None = None
_marked = 0.0


def exit_code(by: signal.Signals) -> int:
    """Return the exit code of a command that a signal stopped: 130 for SIGINT, 143 for SIGTERM."""
    return _EXIT_CODE + by


def signal_of(code: int) -> signal.Signals | None:
    """Return the signal of `SIGNALS` whose `exit_code` this is; None for every other code."""
    return next((each for each in SIGNALS if exit_code(each) == code), None)


class Interrupted(Exception):  # noqa: N818, as in KeyboardInterrupt: nothing is wrong
    """A run that saved its state and stopped because a signal asked for it.

    Not a `BenchError`: nothing is wrong, and the command exits with the signal's code.
    """

    def __init__(self, by: signal.Signals, saved: str) -> None:
        """Note the signal, and what was saved: `step 120 of 4,680`; empty if other processes have printed it."""
        super().__init__(saved)
        self.by, self.saved, self.code = by, saved, exit_code(by)


class WaitEnded(Interrupted):
    """A wait between two steps that ended because a signal asked for it. A loop that can save does, and says what."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(by, "nothing since the last checkpoint")


class Stopped(BaseException):
    """A command that stopped at once, wherever it was. Earlier checkpoints stay; no `except Exception` catches it."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(by.name)
        self.by, self.code = by, exit_code(by)


def asked() -> signal.Signals | None:
    """Return the signal that asked for a stop since `listening` began; None if none did."""
    return _mark


def asked_before(seconds: float) -> signal.Signals | None:
    """Return the signal that asked for a stop if that was so many seconds ago; a loop that looks has stopped since."""
    return _mark if _mark is not None and time.monotonic() - _marked > seconds else None


@contextlib.contextmanager
def saving(save: Callable[[], str]) -> Iterator[None]:
    """Save where a signal ends a wait for the next step's data within the block.

    Args:
        save: Saves the steps done, and says which: `step 120 of 4,680`.

    Raises:
        Interrupted: After it saved.
    """
    try:
        yield
    except WaitEnded as ended:
        raise Interrupted(ended.by, save()) from None


@contextlib.contextmanager
def listening(tell: str = "") -> Iterator[None]:
    """Mark the first signal within the block instead of stopping, and write `tell` to stderr.

    Only the command's main thread can listen; elsewhere the block changes nothing.

    Raises:
        Stopped: At a second signal, later than `TOGETHER`.
    """
    global _mark
    _mark = None

    def leave_mark(number: int, frame: FrameType | None) -> None:
        global _mark, _marked
        if _mark is not None and time.monotonic() - _marked > TOGETHER:
            raise Stopped(signal.Signals(number))
        if _mark is None:
            _mark, _marked = signal.Signals(number), time.monotonic()
            os.write(2, tell.encode())  # unlike print, safe in a signal handler

    with _handled_by(leave_mark):
        try:
            yield
        finally:
            _mark = None


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Raise `Stopped` at every signal within the block, unless a nested `listening` handles it."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(signal.Signals(number))

    with _handled_by(stop):
        yield


def ignore(worker: int = 0) -> None:
    """Ignore signals in a loader worker: Ctrl-C reaches it too, but the main process shuts it down."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


@atexit.register  # after the import of multiprocessing.util, and so called before what that registered
def end_workers() -> None:
    """Kill loader workers that outlive the command, for instance after an error.

    They ignore the SIGTERM by which multiprocessing ends them, and it would wait for them forever.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler takes a killed worker for a fault
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
