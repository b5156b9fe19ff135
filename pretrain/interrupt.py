"""Stopping when asked: a signal leaves a mark, the loops look for it after every step, save what they have, and stop.

A second signal stops at once, without saving.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What a user's Ctrl-C and a cluster's scheduler send."""

_mark: signal.Signals | None = None


class Interrupted(Exception):  # noqa: N818, as in KeyboardInterrupt: nothing is wrong
    """A run that stopped because it was asked to, after it had saved what it had.

    Not a `BenchError`: nothing is wrong, and the exit code is the signal's.
    """

    def __init__(self, by: signal.Signals, saved: str) -> None:
        super().__init__(saved)
        self.code = 128 + by
        """The conventional exit code: 130 for SIGINT, 143 for SIGTERM."""
        self.saved = saved
        """What was saved, in words: `step 120 of 4,680`."""


def asked() -> signal.Signals | None:
    """The signal that asked for a stop since `listening` began; None where none did."""
    return _mark


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """While it lasts, the first signal only leaves a mark. For the main thread of a command."""
    global _mark
    _mark = None
    before = {each: signal.signal(each, _leave_mark) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _leave_mark(number: int, frame: FrameType | None) -> None:
    global _mark
    _mark = signal.Signals(number)
    for each in SIGNALS:
        signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
