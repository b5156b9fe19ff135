"""Calls that may wait for a network or a disk: one after another where they don't, many at once where they do."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

TIMED = 65
"""Calls that are timed."""
SLOW = 100e-6
"""Seconds of the middle one from which on calls are taken to wait: a look at a file in memory takes a few millionths."""
THREADS, EACH = 32, 128
"""Threads, and items handed to one at a time."""


def results(call: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the result of a call for each item, in order."""
    waiting, seconds = iter(items), list[float]()
    for item in islice(waiting, TIMED):
        began = time.perf_counter()
        found = call(item)
        seconds.append(time.perf_counter() - began)
        yield found
    if len(seconds) < TIMED or sorted(seconds)[TIMED // 2] < SLOW:
        yield from map(call, waiting)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        while parts := [part for _ in range(THREADS) if (part := list(islice(waiting, EACH)))]:
            yield from chain.from_iterable(pool.map(lambda part: [call(item) for item in part], parts))
