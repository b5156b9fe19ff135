"""Calls that may wait for a network or a disk: one after another where they don't, many at once where they do."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

TIMED = 64
"""Calls that are timed."""
SLOW = 100e-6
"""Seconds of a call from which on it is taken to wait: a look at a file in memory takes a few millionths."""
THREADS = 32
AT_ONCE = 4096
"""Items handed to the threads at a time."""


def results(call: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the result of a call for each item, in order."""
    waiting = iter(items)
    began = time.perf_counter()
    timed = [call(item) for item in islice(waiting, TIMED)]
    seconds = time.perf_counter() - began
    yield from timed
    if seconds < SLOW * len(timed):
        yield from map(call, waiting)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        while part := list(islice(waiting, AT_ONCE)):
            yield from pool.map(call, part)
