"""Collective operations over the processes of a run. Each is the identity where there is one process.

Shapes: n images of this process, N = n · processes images of the step.
"""

import contextlib
import itertools
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from pretrain.core import interrupt, watchdog
from pretrain.core.errors import BenchError, ConfigError, PeerError
from pretrain.core.group import waits
from pretrain.core.upload import upload

T = TypeVar("T")

_NONE: Any = object()

_FAILED = 2**16
"""Stands for an error where the processes compare signals."""


def rank() -> int:
    """Return the index of this process among all, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def agreed_stop(error: BenchError | None = None) -> signal.Signals | None:
    """Return the signal that asked any of the processes to stop, or None.

    Every process calls this after the same step, so that all of them stop together, and none waits for one that has failed.

    Args:
        error: What went wrong in this process, if something did.

    Raises:
        BenchError: The error.
        PeerError: If another process has one.
    """
    found = largest(interrupt.asked() or 0 if error is None else _FAILED)
    if found == _FAILED:
        raise error or PeerError("another process has failed", fix="see its message")
    if found:
        watchdog.answered()
    return signal.Signals(found) if found else None


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier(group=waits())


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """Run the block in the first process, then in the others: for files that one process makes and all read.

    Raises:
        PeerError: In the others, if it failed in the first one.
    """
    if rank():
        if not _told(worked=True):
            raise PeerError("the first process has failed", fix="see its message")
        yield
        return
    try:
        yield
    except BaseException:
        with contextlib.suppress(RuntimeError):  # the others may have gone
            _told(worked=False)
        raise
    _told(worked=True)


def _told(*, worked: bool) -> bool:
    """Return what the first process says; the others wait for it."""
    if not dist.is_initialized():
        return worked
    flag = torch.tensor(worked)
    dist.broadcast(flag, src=0, group=waits())
    return bool(flag)


def largest(number: int) -> int:
    """Return the largest of all processes' numbers."""
    if not dist.is_initialized():
        return number
    reduced = torch.tensor(number)
    dist.all_reduce(reduced, dist.ReduceOp.MAX, group=waits())
    return int(reduced)


def gather(mine: Tensor) -> Tensor:
    """Concatenate every process's (n, ...) to (N, ...), in the order of the ranks. No gradient flows through it."""
    if not dist.is_initialized():
        return mine
    parts = [torch.empty_like(mine) for _ in range(world())]
    # Contiguous, for NCCL sends bytes in their order in memory: channels-last images would arrive scrambled, without an error.
    dist.all_gather(parts, mine.contiguous())
    return torch.cat(parts)


def gather_with_gradient(mine: Tensor) -> Tensor:
    """Concatenate as `gather` does; each process gets the gradients that the losses of all processes have for its part.

    DistributedDataParallel then averages over the processes, so that a loss which every process computes over all (N, ...)
    has the gradient of one process that holds them all.
    """
    if not dist.is_initialized():
        return mine
    gathered: Tensor = _Gather.apply(mine)
    return gathered


class _Gather(torch.autograd.Function):
    """`gather`, and its derivative: the sum over the processes, of which each takes its own part."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return gather(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return mine(total)


def total(mine: Tensor) -> Tensor:
    """Add up a tensor (...) over all processes. No gradient flows through it."""
    if not dist.is_initialized():
        return mine
    added = mine.detach().clone()
    dist.all_reduce(added)
    return added


def mean(mine: Tensor) -> Tensor:
    """Average a tensor (...) over all processes. No gradient flows through it."""
    return total(mine) / world() if dist.is_initialized() else mine


def as_the_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors with those of the first process."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def dealt(items: Sequence[T]) -> Sequence[T]:
    """Select this process's items, dealt out like cards; `collected` puts their results together again."""
    return items[rank() :: world()]


def collected(mine: list[T]) -> list[T]:
    """Merge every process's results for its `dealt` items, in the items' order; the other processes get an empty list."""
    rounds = itertools.zip_longest(*parts(mine), fillvalue=_NONE)
    return [item for each in rounds for item in each if item is not _NONE]


def parts(mine: list[T]) -> list[list[T]]:
    """Gather the list of every process, in the order of the ranks; the other processes than the first get an empty list."""
    if not dist.is_initialized():
        return [mine]
    everything: list[list[T]] = [[] for _ in range(world())] if rank() == 0 else []
    dist.gather_object(mine, everything or None, group=waits())
    return everything


def everywhere(mine: T) -> list[T]:
    """Gather an object of every process, in the order of the ranks, to all of them."""
    if not dist.is_initialized():
        return [mine]
    everything: list[Any] = [None] * world()
    dist.all_gather_object(everything, mine, group=waits())
    return everything


def mine(everything: Tensor) -> Tensor:
    """Select this process's part (n, ...) of (N, ...)."""
    n = len(everything) // world()
    return everything[rank() * n : (rank() + 1) * n]


def shuffled(images: Tensor, order: Tensor) -> Tensor:
    """Shuffle the images of all processes into the order (N,) and select this process's part (n, ...): ShuffleBN.

    The keys' batch statistics then come from other images than the queries', so that a query can't recognise its key
    by them (arXiv:1911.05722, section 3.3). Each process is sent the images that it encodes, and no others.

    Args:
        images: (n, ...), those of this process; they come back in the same layout in memory.
        order: On the CPU, the same in all processes.
    """
    if not dist.is_initialized():
        return images[upload(order, images.device)]
    n, device, everyone = len(images), images.device, order.view(world(), -1)
    sent = [wanted[wanted // n == rank()] - rank() * n for wanted in everyone]
    source = everyone[rank()] // n
    last = images.dim() == 4 and images.is_contiguous(memory_format=torch.channels_last)
    rows = images.movedim(1, -1) if last else images  # whole images one after the other, in the bytes they have
    rows = rows[upload(torch.cat(sent), device)].contiguous()
    received = torch.empty_like(rows)
    dist.all_to_all_single(received, rows, source.bincount(minlength=world()).tolist(), [len(each) for each in sent])
    found = received[upload(source.argsort(stable=True).argsort(), device)]  # they came by their sources
    return found.movedim(-1, 1) if last else found


def unshuffled(keys: Tensor, order: Tensor) -> Tensor:
    """Undo `shuffled`: (n, ...) of each process → (N, ...) of all, in the order of the images; `mine` selects the own ones."""
    return gather(keys)[upload(order.argsort(), keys.device)]


def divided(batch: int, processes: int, parts: int = 1) -> int:
    """Divide a batch: the number of images of each process in a step of `batch` images.

    Args:
        batch: Images of a step.
        processes: How many work together.
        parts: Parts of a process's images with batch statistics of their own.

    Raises:
        ConfigError: If the processes, or a process's parts, can't divide it evenly, or a part is too small for statistics.
    """
    if batch % processes:
        nearest = max(processes, round(batch / processes) * processes)
        raise ConfigError(f"{processes} processes can't divide a batch of {batch} evenly", fix=f"choose a batch of {nearest}")
    each = batch // processes
    if parts > 1 and (each % parts or each // parts < 2):
        seen = f"{each} images of each process in {parts} parts"
        raise ConfigError("a process's images don't divide into its parts", seen=seen, allowed="2 or more images in each part")
    return each
