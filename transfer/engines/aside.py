"""Work that worker processes do while this process goes on."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Generic, TypeVar

import torch
from torch.utils.data import Dataset

from pretrain.core.workers import Loader

T = TypeVar("T")
R = TypeVar("R")

LOOK = 2.0
"""Seconds between a worker's looks at whether the process that started it is still there."""


def aside(call: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Yield the result of a call for each item, in order, computed by worker processes; without any, by this one.

    Items are made here, a few ahead of the results: while this process makes the next ones, the workers compute, and no more
    than twice as many items as workers are on their way. An error of the items comes after the results of those before it, and
    one of a call as if it had been made here.

    Args:
        call: What is computed. The workers have it as it is now; of PyTorch they have one thread.
        items: What is sent to them: no tensors, which need shared memory.
        workers: Their number.
    """
    if not workers:
        yield from map(call, items)
        return
    failed: list[Exception] = []

    def batches() -> Iterator[list[T]]:
        try:
            yield from ([item] for item in items)
        except Exception as error:  # what is on its way comes first
            failed.append(error)

    # A generator of its own: the loader would draw from the global one.
    how = {"num_workers": workers, "collate_fn": _only, "generator": torch.Generator().manual_seed(0)}
    yield from Loader(_Calls(call), batch_sampler=batches(), **how, worker_init_fn=partial(_followed, os.getpid()))
    if failed:
        raise failed[0]


class _Calls(Dataset[R], Generic[T, R]):
    """What a call makes of each item."""

    def __init__(self, call: Callable[[T], R]) -> None:
        self._call = call

    def __getitem__(self, item: T) -> R:
        return self._call(item)


def _followed(parent: int, worker: int) -> None:
    """End this worker when its parent was killed: one with more to send than a pipe takes would wait for a reader forever."""

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _only(batch: list[R]) -> R:
    return batch[0]
