"""What processes of a run do in the tests of their failures. Imported by `sitecustomize` in each of them, it takes the place of
the command line's commands; `python -m bench SCENARIO` then starts two processes, and each does its part.
"""

import ctypes
import os
import signal
import sys
from types import SimpleNamespace
from typing import Any, NoReturn

import torch
import torch.distributed as dist

import bench.cli
from pretrain.core import distributed, launcher, watchdog
from pretrain.core.errors import DataError
from pretrain.core.group import group

BAD = DataError("an image can't be read", seen="ant_0.png")


def stuck() -> NoReturn:
    """Wait in a library, which runs no signal's handler, as NCCL's calls do once another process has gone."""
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
    raise AssertionError("a lock was taken twice")


def pretend_gpus() -> None:
    """Let torch have two GPUs, and NCCL be gloo, but for its end, which waits for the other processes."""
    begin = dist.init_process_group

    def init(backend: str, *, device_id: torch.device, **how: Any) -> None:
        assert (backend, device_id) == ("nccl", torch.device("cuda", int(os.environ["LOCAL_RANK"])))
        begin("gloo", **how)

    dist.init_process_group = init
    dist.destroy_process_group = stuck
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 2
    torch.cuda.set_device = lambda index: None
    torch.cuda.get_device_properties = lambda device: SimpleNamespace(uuid=f"GPU-{torch.device(device).index}")


def one_fails_where_the_other_computes_with_it(rank: int) -> None:
    if rank:
        raise BAD
    distributed.total(torch.ones(2))


def both_fail_alike(rank: int) -> None:
    raise BAD


def the_first_fails_alone(rank: int) -> None:
    with distributed.first_alone():
        if rank:
            raise AssertionError("the others went on")
        raise BAD


def one_is_killed(rank: int) -> None:
    if rank:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()


def one_fails_and_the_other_is_stuck(rank: int) -> None:
    if rank:
        raise BAD
    stuck()


def one_has_a_bug_and_the_other_is_stuck(rank: int) -> None:
    if rank:
        raise ValueError("a bug")
    stuck()


def both_are_stuck_and_the_command_is_stopped(rank: int) -> None:
    os.write(1, b"stuck\n")
    stuck()


def scenario() -> None:
    """Start two processes, or be one of them."""
    device, name = sys.argv[1:]
    if not launcher.launched():
        return launcher.launch(2, sys.argv[1:])
    watchdog.PATIENCE = 2.0
    if device == "cuda":
        pretend_gpus()
    with group(device):
        globals()[name](distributed.rank())
    return None


bench.cli.app = scenario
