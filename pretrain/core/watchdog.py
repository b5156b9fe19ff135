"""Ending a process that no signal can stop, because it waits in a GPU's library for a process that has gone."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from pretrain.core.interrupt import SIGNALS, exit_code

PATIENCE = 60.0
"""Seconds that a process may take to answer a signal."""
_answered = threading.Event()


def answered() -> None:
    """Say that all processes know of the signal: they save, and end by themselves."""
    _answered.set()


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """End the process, `PATIENCE` seconds after a signal within the block, unless `answered` was called.

    Python handles signals in its main thread, and not before a call into a library has returned, which NCCL's never do once
    another process has gone. Only the main thread can hold this block; elsewhere it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _answered.clear()
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)  # the system's own handler writes there, at once
    threading.Thread(target=_watch, args=(read,), name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)
        _answered.set()


def _watch(read: int) -> None:
    with os.fdopen(read, "rb", buffering=0) as signals:
        while number := signals.read(1):
            if number[0] in map(int, SIGNALS) and not _answered.wait(PATIENCE):
                os._exit(exit_code(signal.Signals(number[0])))
