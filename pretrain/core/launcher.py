"""torch's elastic launcher: how it is started, and what it tells the processes that it starts."""

import logging
import os
import sys

from pretrain.core.errors import WorkerError
from pretrain.core.interrupt import Interrupted, signal_of

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that the launcher sets in every process it starts."""
_TIME_TO_SAVE = 300
"""Seconds that interrupted processes have to finish and save their step, before the launcher kills them."""


def launched() -> bool:
    """Whether the launcher started this process (by `torchrun`, or by `launch` below)."""
    return all(name in os.environ for name in _VARIABLES)


def processes() -> int:
    """Return the number of processes that the launcher started, on all machines; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def processes_here() -> int:
    """Return the number of processes that the launcher started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", processes()))


def launch(processes: int, arguments: list[str]) -> None:
    """Run `python -m bench ARGUMENTS` in several processes of this machine, and wait for them.

    Raises:
        Interrupted: If a signal stopped them; they have printed what they saved.
        WorkerError: If one of them failed; it has printed why.
    """
    # These import torch, which takes seconds.
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    settings = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0
    )
    settings.run_id = f"bench-{os.getpid()}"
    settings.shutdown_timeout = _TIME_TO_SAVE  # torch before 2.9 has no such field, and waits for 30 s
    for part in ("agent.server", "multiprocessing"):  # they would warn of every signal that they pass on
        logging.getLogger(f"torch.distributed.elastic.{part}.api").setLevel(logging.ERROR)
    os.environ["BENCH_CHILD"] = "1"
    # Each process would otherwise start as many threads as there are cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    try:
        elastic_launch(settings, sys.executable)("-m", "bench", *arguments)
    except SignalException as stop:
        raise Interrupted(stop.sigval, "") from None
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        by = signal_of(failure.exitcode)
        if by is not None:
            raise Interrupted(by, "") from None
        raise WorkerError(
            f"process {number} of {processes} ended with exit code {failure.exitcode}", fix="see its message above"
        ) from None
