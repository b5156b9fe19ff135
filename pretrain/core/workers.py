"""Loader workers: a data loader whose batches need no shared memory, and whose waits end.

Torch passes a worker's tensors through files in shared memory (/dev/shm, by default 64 MiB in a container), and waits without
end for a batch that was lost on its way. Here a tensor that finds no room passes through the worker's pipe; a batch that can't
be sent ends the worker, which ends the run; and a wait ends at a signal, or when no worker does anything any more.
"""

import multiprocessing
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from mmap import mmap
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing.reductions import reduce_tensor
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter, _MultiProcessingDataLoaderIter

from pretrain.core import interrupt
from pretrain.core.errors import WorkerError
from pretrain.core.launcher import cores, processes_here
from pretrain.core.machine_errors import LOST_WORKER, NO_ROOM, SHARED_MEMORY, UNSENDABLE, no_shared_memory
from pretrain.core.ranges import Workers

T_co = TypeVar("T_co", covariant=True)
Initialise = Callable[[int], None]
"""Called in each worker with its number."""

LOOK = 1.0
"""Seconds between two looks at the signals and the workers while a batch is waited for."""
GRACE = 5.0
"""Seconds that a batch may still take after a signal: its step is then done and saved."""
PATIENCE = 45.0
"""Seconds without a batch in which no worker computes or reads anything, at which the run ends."""
RESERVE = 2**17
"""Bytes of shared memory that batches leave free: locks and queues lie there, too."""
MOST = 16
"""Loader processes at most that are counted from the cores."""
TICKS = 2
"""Ticks of the processor (10 ms each) that are work: a waiting worker looks after its parent, which may cost one."""

_told = False


class Loader(DataLoader[T_co]):
    """Torch's data loader with workers that are watched."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what torch's loader takes."""
        super().__init__(*args, **options)
        _initialise(self)

    def _get_iterator(self) -> _BaseDataLoaderIter:
        return _Watched(self) if self.num_workers else super()._get_iterator()


def count(wanted: Workers, device: str, *, on_cpu: int = 2) -> int:
    """Count the loader processes of this process: as wanted, or for `auto` from the cores that it may use.

    A GPU outruns a core many times over: each process on this machine has its part of the cores, two of which are left to what
    feeds the GPU. On a CPU, which computes itself, `on_cpu`.
    """
    if wanted != "auto":
        return wanted
    if not device.startswith("cuda"):
        return on_cpu
    return min(MOST, max(2, cores() // processes_here() - 2))


def watched(loader: DataLoader[T_co]) -> DataLoader[T_co]:
    """Watch the workers of a loader that another library has made, from its next iteration on."""
    loader.__class__ = Loader
    _initialise(loader)
    return loader


def shared_bytes(size: int) -> Tensor:
    """Allocate zeros (size,) uint8 that workers share with this process, outside /dev/shm where workers are forked."""
    if size and multiprocessing.get_start_method() == "fork":
        return torch.frombuffer(mmap(-1, size), dtype=torch.uint8)
    return torch.zeros(size, dtype=torch.uint8).share_memory_()


class _Watched(_MultiProcessingDataLoaderIter):
    """Torch's iterator, which looks at its workers and at the signals once a second while it waits."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._work: Sequence[tuple[int, int]] = ()
        self._idle_since = 0.0
        try:
            super().__init__(loader)
        except OSError as error:  # a lock found no room
            self._shutdown = True  # there is nothing to shut down
            raise no_shared_memory(error) from None

    def _try_get_data(self, timeout: float = LOOK) -> tuple[bool, Any]:
        by = interrupt.asked_before(GRACE)
        if by is not None:
            raise interrupt.WaitEnded(by)
        try:
            found: tuple[bool, Any] = super()._try_get_data(min(timeout, LOOK))
        except RuntimeError:
            self._raise_own_code()
            raise
        if found[0]:
            self._work = ()
        else:
            self._require_work()
        return found

    def _shutdown_workers(self) -> None:
        """End the workers. A signal may tell right now that one is dead, which no longer matters."""
        try:
            super()._shutdown_workers()
        except RuntimeError as error:
            if not LOST_WORKER.search(str(error)):
                raise
            for queue in self._index_queues:  # torch was stopped before it did this
                queue.cancel_join_thread()
                queue.close()

    def _raise_own_code(self) -> None:
        """Raise the error of a worker that ended itself with its exit code, which torch doesn't always name."""
        for worker in self._workers:
            if worker.exitcode in (NO_ROOM, UNSENDABLE):
                text = f"DataLoader worker (pid {worker.pid}) exited unexpectedly with exit code {worker.exitcode}"
                raise RuntimeError(text) from None

    def _require_work(self) -> None:
        """Raise WorkerError where no worker has done anything for `PATIENCE` seconds."""
        work = [_work(worker) for worker in self._workers]
        if len(self._work) != len(work) or any(map(_worked, self._work, work)):
            self._work, self._idle_since = work, time.monotonic()
        elif time.monotonic() - self._idle_since > PATIENCE:
            raise WorkerError(
                "the loader workers deliver nothing",
                seen=f"{len(work)} of them are alive, and neither computed nor read anything for {PATIENCE:.0f} seconds",
                fix="see whether the disk of the data responds, and give the same command again; --set num_workers=0 does "
                "without workers",
            )


def _work(worker: BaseProcess) -> tuple[int, int]:
    """Read what a process has done: ticks of the processor, bytes read. Always more where the system has no such files."""
    try:
        times = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        read = Path(f"/proc/{worker.pid}/io").read_text().split()
        return int(times[11]) + int(times[12]), int(read[1])
    except (OSError, LookupError, ValueError):
        return time.monotonic_ns(), 0


def _worked(before: tuple[int, int], now: tuple[int, int]) -> bool:
    return now[0] - before[0] >= TICKS or now[1] > before[1]


def _initialise(loader: DataLoader[Any]) -> None:
    loader.worker_init_fn = partial(_begin, loader.worker_init_fn)


def _begin(then: Initialise | None, worker: int) -> None:
    """Prepare a worker, in itself: signals, how it sends tensors, and what it does where it can't."""
    interrupt.ignore()
    ForkingPickler.register(Tensor, _sent)
    Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]
    if then is not None:
        then(worker)


def _end(error: Exception, lost: object) -> None:
    """End a worker that can't send a batch: the run would wait for it without end."""
    if SHARED_MEMORY.search(str(error)):
        os._exit(NO_ROOM)
    traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(UNSENDABLE)


def _sent(tensor: Tensor) -> tuple[Any, ...]:
    """Reduce a tensor for the pickle, as torch does through shared memory, or by its bytes where that has no room."""
    plain = tensor.device.type == "cpu" and tensor.layout == torch.strided and not tensor.requires_grad
    if plain and not tensor.is_shared():
        storage = tensor.untyped_storage()
        if _room() > storage.nbytes() + RESERVE:
            with suppress(RuntimeError):  # another worker was faster
                return reduce_tensor(tensor)
        if storage.nbytes() != tensor.numel() * tensor.itemsize:  # a part of something larger
            tensor = tensor.clone()
        flat: NDArray[np.uint8] = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).numpy()
        return _received, (flat, tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
    return reduce_tensor(tensor)


def _room() -> int:
    """Count the free bytes of shared memory; where it can't be seen, there is room."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return sys.maxsize


def _received(
    flat: NDArray[np.uint8], dtype: torch.dtype, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """Rebuild a tensor that came by its bytes, laid out as it was; say once that this is the slower way."""
    global _told
    if not _told:
        _told = True
        text = "shared memory (/dev/shm) is too small for the batches, which pass through pipes: slower; docker has --shm-size"
        print(text, file=sys.stderr, flush=True)
    storage = torch.from_numpy(flat).untyped_storage()
    return torch.empty(0, dtype=dtype).set_(storage, offset, shape, stride)
