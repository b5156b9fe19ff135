"""torch's elastic launcher: how it is started, and what it tells the processes that it starts."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

from pretrain.core.errors import BenchError, PeerError, ToldError, WorkerError
from pretrain.core.interrupt import SIGNALS, Interrupted, end_workers, signal_of

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that the launcher sets in every process it starts."""
_CHILD = "BENCH_CHILD"
"""Environment variable of the processes that `launch` starts."""
_TIME_TO_SAVE = 300
"""Seconds that interrupted processes have to finish and save their step, before the launcher kills them."""

_abandoned = False


def launched() -> bool:
    """Whether the launcher started this process (by `torchrun`, or by `launch` below)."""
    return all(name in os.environ for name in _VARIABLES)


def processes() -> int:
    """Return the number of processes that the launcher started, on all machines; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def processes_here() -> int:
    """Return the number of processes that the launcher started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", processes()))


def cores() -> int:
    """Return the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def checked() -> bool:
    """Whether `launch` started this process: then the one that did has just read the data, and its index of them stands."""
    return _CHILD in os.environ


def launch(processes: int, arguments: list[str]) -> None:
    """Run `python -m bench ARGUMENTS` in several processes of this machine, and wait for them.

    Raises:
        Interrupted: If a signal stopped them; they have printed what they saved.
        ToldError: If one of them failed and has printed why.
        WorkerError: If one of them died without a word.
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
    for part in ("agent.server", "multiprocessing"):  # they tell of every signal they pass on, and of every exit code
        logging.getLogger(f"torch.distributed.elastic.{part}.api").setLevel(logging.CRITICAL)
    # Each process would otherwise start as many threads as there are cores.
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    try:
        with _environment(**{_CHILD: "1"}, OMP_NUM_THREADS=threads):
            elastic_launch(settings, sys.executable)("-m", "bench", *arguments)
    except SignalException as stop:
        raise Interrupted(stop.sigval, "") from None
    except ChildFailedError as error:
        failures = sorted(error.failures.items(), key=lambda failure: failure[1].timestamp)
        raise _reason([(number, failure.exitcode) for number, failure in failures], processes) from None


def _reason(failed: list[tuple[int, int]], processes: int) -> Exception:
    """Make the error for processes that failed in this order: their numbers and exit codes."""
    own = [(number, code) for number, code in failed if code != PeerError.EXIT]
    # One that ends because of another may be the faster one, and the launcher then stops the one that has said why.
    late = failed[0][1] == PeerError.EXIT and all(-code in SIGNALS or signal_of(code) for _, code in own)
    if late or own[0][1] == BenchError.EXIT:
        return ToldError("a process failed", fix="see its message above")
    number, code = own[0]
    by = signal_of(code)
    if by is not None:
        return Interrupted(by, "")
    return WorkerError(
        f"process {number} of {processes} ended with exit code {code}", fix="see what it said above, if anything"
    )


def abandon() -> None:
    """Note that this process can't close its group with the others, and must not wait for it at its end."""
    global _abandoned
    _abandoned = True


def abandoned() -> bool:
    """Whether `leave` ends this process at once."""
    return _abandoned


def leave(code: int) -> NoReturn:
    """End a command; at once if its group was abandoned, for the interpreter's own end would close that group."""
    if _abandoned:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        end_workers()
        os._exit(code)
    raise SystemExit(code)


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set variables for the processes that are started within the block, and for no later ones."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
