"""Work that worker processes do while this process goes on."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import torch
from torch.utils.data import Dataset

from pretrain.core.workers import Loader

T = TypeVar("T")
R = TypeVar("R")


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
    generator = torch.Generator().manual_seed(0)
    yield from Loader(_Calls(call), batch_sampler=batches(), num_workers=workers, collate_fn=_only, generator=generator)
    if failed:
        raise failed[0]


class _Calls(Dataset[R], Generic[T, R]):
    """What a call makes of each item."""

    def __init__(self, call: Callable[[T], R]) -> None:
        self._call = call

    def __getitem__(self, item: T) -> R:
        return self._call(item)


def _only(batch: list[R]) -> R:
    return batch[0]
