"""Work handed to worker processes: the same results in order, few on their way, one error."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pretrain.core.errors import DataError, WorkerError
from pretrain.core.machine_errors import translating_os_errors
from transfer.engines.aside import aside


def squared(number: int) -> int:
    if number == 13:
        raise DataError("an unlucky number", seen=13)
    return number * number


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_and_few_are_on_their_way(workers: int) -> None:
    made, ahead = list[int](), list[int]()

    def items() -> Iterator[int]:
        for number in range(12):
            made.append(number)
            yield number

    state = torch.get_rng_state()
    for count, result in enumerate(aside(squared, items(), workers)):
        assert result == count * count
        ahead.append(len(made) - count)
    assert count == 11
    assert max(ahead) <= max(1, 2 * workers + 1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_an_item_comes_behind_the_results_before_it_and_one_of_a_call_in_its_place(workers: int) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("no more items")

    found = list[int]()
    with pytest.raises(OSError, match=r"^no more items$"):
        found.extend(aside(squared, items(), workers))
    assert found == [0, 1, 4, 9, 16]
    with pytest.raises(DataError) as raised:
        list(aside(squared, range(10, 20), workers))
    assert str(raised.value) == "an unlucky number\n  seen:    13"


def test_a_worker_that_is_killed_ends_the_work(tmp_path: Path) -> None:
    with pytest.raises(WorkerError), translating_os_errors("run", tmp_path):
        list(aside(killed, range(10), 2))


def large(number: int) -> tuple[int, bytes]:
    return os.getpid(), bytes(2**20)


def test_no_worker_outlives_a_process_that_was_killed() -> None:
    """Each has more to send than a pipe takes."""
    code = "from test_aside import *; found = aside(large, range(9), 2); print(next(found)[0], flush=True); time.sleep(99)"
    where = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": where}
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        process.kill()
    until = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()
