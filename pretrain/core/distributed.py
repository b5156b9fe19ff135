"""Several processes as one: gathering, ShuffleBN, and starting them. Each function is the identity on one process.

Shapes: n images of this process, N = n · processes images of the step.
"""

import contextlib
import itertools
import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from pretrain.core import interrupt
from pretrain.core.errors import ConfigError, TrainingError

T = TypeVar("T")

_NONE: Any = object()

_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torch's elastic launcher sets in every process it starts."""
_TIME_TO_SAVE = 300
"""Seconds that processes asked to stop have for the step they are in and its checkpoint, before torch's launcher kills them."""

_GONE = "Connection closed by peer"
"""What gloo says of a process that is no more."""


def launched() -> bool:
    """Whether torch's launcher started this process (`torchrun`, or `launch` below)."""
    return all(name in os.environ for name in _LAUNCHED)


def asked() -> int:
    """Number of processes that the launcher started."""
    return int(os.environ["WORLD_SIZE"])


def asked_here() -> int:
    """Number of those on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", asked()))


def rank() -> int:
    """Number of this process among all, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextlib.contextmanager
def group(device: str) -> Iterator[str]:
    """The process group for as long as the block lasts, where a launcher asks for one; yields this process's device.

    Within such a block another one changes nothing.

    Raises:
        TrainingError: If another process has ended, which alone knows why.
    """
    if not launched() or asked() == 1:
        yield device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if dist.is_initialized():
        yield device
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield device
    except RuntimeError as error:  # of gloo; NCCL waits until the launcher ends the process
        if _GONE not in str(error):
            raise
        raise TrainingError("another process has ended", fix="see its message") from None
    finally:
        dist.destroy_process_group()


def launch(processes: int, arguments: list[str]) -> None:
    """Run `python -m bench ARGUMENTS` in that many processes of this machine, under torch's elastic launcher.

    Raises:
        Interrupted: If they stopped because they were asked to; they have said what they saved.
        TrainingError: If one of them failed; it has said why.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    settings = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0
    )
    settings.run_id = f"bench-{os.getpid()}"
    settings.shutdown_timeout = _TIME_TO_SAVE  # torch before 2.9 has no such field, and waits for 30 s
    for part in ("agent.server", "multiprocessing"):  # that they pass a signal on is nothing to warn of
        logging.getLogger(f"torch.distributed.elastic.{part}.api").setLevel(logging.ERROR)
    os.environ["BENCH_CHILD"] = "1"
    # Processes that share the cores would each start as many threads as there are cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    try:
        elastic_launch(settings, sys.executable)("-m", "bench", *arguments)
    except SignalException as stop:
        raise interrupt.Interrupted(stop.sigval, "") from None
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode - 128 in interrupt.SIGNALS:
            raise interrupt.Interrupted(signal.Signals(failure.exitcode - 128), "") from None
        raise TrainingError(
            f"process {number} of {processes} ended with exit code {failure.exitcode}", fix="see its message above"
        ) from None


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier()


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """The first process runs the block, then the others: for files that one makes and all read."""
    if rank():
        barrier()
    yield
    if not rank():
        barrier()


def largest(number: int) -> int:
    """The largest of all processes' numbers."""
    if not dist.is_initialized():
        return number
    told = torch.tensor(number, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return int(told)


def gather(mine: Tensor) -> Tensor:
    """(n, ...) of every process, in the order of the processes: (N, ...). No gradient flows through it."""
    if not dist.is_initialized():
        return mine
    parts = [torch.empty_like(mine) for _ in range(world())]
    dist.all_gather(parts, mine.contiguous())
    return torch.cat(parts)


def mean(mine: Tensor) -> Tensor:
    """(...), the mean over all processes. No gradient flows through it."""
    if not dist.is_initialized():
        return mine
    total = mine.clone()
    dist.all_reduce(total)
    return total / world()


def as_the_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors with those of the first process."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def dealt(items: Sequence[T]) -> Sequence[T]:
    """This process's part of the items, dealt out like cards: `collected` brings what comes of them together."""
    return items[rank() :: world()]


def collected(mine: list[T]) -> list[T]:
    """What every process made of the items dealt to it, in the order of the items; only the first process gets it."""
    rounds = itertools.zip_longest(*parts(mine), fillvalue=_NONE)
    return [item for each in rounds for item in each if item is not _NONE]


def parts(mine: list[T]) -> list[list[T]]:
    """The list of every process, in the order of the processes; only the first one gets them."""
    if not dist.is_initialized():
        return [mine]
    everything: list[list[T]] = [[] for _ in range(world())] if rank() == 0 else []
    dist.gather_object(mine, everything or None)
    return everything


def mine(everything: Tensor) -> Tensor:
    """This process's part (n, ...) of (N, ...)."""
    n = len(everything) // world()
    return everything[rank() * n : (rank() + 1) * n]


def shuffled(images: Tensor, order: Tensor) -> Tensor:
    """ShuffleBN: the images of all processes in the order (N,), of which this process takes its part: (n, ...).

    With the batch statistics of a process made of other images than its queries, a query can't recognise its key
    by them (arXiv:1911.05722, section 3.3).
    """
    return mine(gather(images)[order])


def unshuffled(keys: Tensor, order: Tensor) -> Tensor:
    """What `shuffled` did, undone: the keys of this process's own images."""
    return mine(gather(keys)[order.argsort()])


def divided(batch: int, processes: int) -> int:
    """Images of each process in a step of `batch` images.

    Raises:
        ConfigError: If the processes can't share them evenly.
    """
    if batch % processes:
        nearest = max(processes, round(batch / processes) * processes)
        raise ConfigError(f"{processes} processes can't share a batch of {batch} evenly", fix=f"choose a batch of {nearest}")
    return batch // processes
