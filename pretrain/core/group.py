"""Process groups: how several processes begin to work together, and how they end when one of them fails.

Tensors on GPUs travel by NCCL. There a process that waits for one which has gone waits without end, so nothing that may take
long waits there: numbers and objects, and the waits for one process, go through a group on CPUs, which notices at once.
"""

import contextlib
import datetime
import re
from collections import Counter
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from pretrain.core import devices, launcher, watchdog
from pretrain.core.errors import BenchError, ConfigError, PeerError

LONGEST_WAIT = datetime.timedelta(days=7)
"""How long processes wait for one of them, for instance until it has decoded all images."""
_FAILED = "bench/failed"
"""Key of the store under which failed processes are counted."""
_GONE = re.compile(r"Connection (closed|reset) by peer|Broken pipe|ncclRemoteError|remote process exit")
"""What gloo and NCCL say when another process has ended."""

_waits: dist.ProcessGroup | None = None


def waits() -> dist.ProcessGroup | None:
    """Return the group for numbers, objects and long waits; None: the default group does that, too."""
    return _waits


@contextlib.contextmanager
def group(device: str) -> Iterator[str]:
    """Hold a process group for the length of the block if a launcher started several processes.

    Yields this process's device: `cuda` becomes its own GPU, `cuda:N`, and the current one. A nested group changes nothing.

    Raises:
        PeerError: If another process has ended; only that one knows why.
    """
    if launcher.processes() == 1 or dist.is_initialized():
        yield devices.own(device)
        return
    with joined(device) as mine:
        yield mine


@contextlib.contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the processes that the launcher started, be it one, for the length of the block. Yields as `group` does.

    A process that fails leaves a group on GPUs as it is, for closing that could wait for the others without end; what ends
    the command then ends the process at once.
    """
    gpus = device.startswith("cuda")
    with watchdog.watching() if gpus else contextlib.nullcontext():
        store, rank, world = next(rendezvous("env://"))
        with _one_message(store):
            try:
                mine = devices.own(device)
                _begin(mine, store, rank, world)
                yield mine
            except BaseException:
                if gpus and dist.is_initialized():
                    launcher.abandon()
                else:
                    _end()
                raise
            _end()


def _begin(device: str, store: Store, rank: int, world: int) -> None:
    global _waits
    if not device.startswith("cuda"):
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=LONGEST_WAIT)
        dist.barrier()  # else one that fails at once breaks off the others' connecting, of which gloo prints lines of its own
        return
    _require_one_each(devices.identifier(device), store, rank, world)
    own = torch.device(device)
    dist.init_process_group("nccl", store=store, rank=rank, world_size=world, device_id=own)  # connects at once
    beside = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)
    assert isinstance(beside, dist.ProcessGroup)  # all processes are its members
    dist.barrier(group=beside)  # as above
    _waits = beside


def _require_one_each(gpu: str, store: Store, rank: int, world: int) -> None:
    """Refuse two processes on one GPU, with which NCCL may hang."""
    store.set(f"bench/gpu/{rank}", gpu)
    shared = [each for each, count in Counter(store.get(f"bench/gpu/{other}") for other in range(world)).items() if count > 1]
    if shared and shared != [b""]:
        seen = f"{world} processes, several of them on GPU {shared[0].decode()}"
        raise ConfigError("each process needs a GPU of its own", seen=seen, fix="start fewer, or choose --device cpu")


def _end() -> None:
    global _waits
    _waits = None
    if dist.is_initialized():
        dist.destroy_process_group()


@contextlib.contextmanager
def _one_message(store: Store) -> Iterator[None]:
    """Let the first process that fails print why, and no other: they fail because of it, or for the same reason."""
    try:
        yield
    except PeerError:
        raise
    except BenchError as error:
        error.prints = _first(store)
        raise
    except RuntimeError as error:
        if not _GONE.search(str(error)):
            raise
        raise PeerError("another process has ended", fix="see its message") from None


def _first(store: Store) -> bool:
    try:
        return store.add(_FAILED, 1) == 1
    except RuntimeError:  # the store has gone with the process that held it
        return True
