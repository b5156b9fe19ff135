"""Loader workers: batches without shared memory, and waits that end."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pretrain.core import interrupt, machine_errors, workers
from pretrain.core.errors import TrainingError

Usage = namedtuple("Usage", "total used free")


class Numbered(Dataset[Any]):
    """Items made by a function of their number, in the worker."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


def load(make: Callable[[int], Any], num_workers: int = 2) -> Iterator[Any]:
    return iter(workers.Loader(Numbered(make), batch_size=None, num_workers=num_workers))


def images(index: int) -> dict[str, Tensor]:
    pixels = torch.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).to(torch.uint8) + index
    views = pixels.contiguous(memory_format=torch.channels_last)
    return {"views": views, "part": pixels[1, :, 2:5], "label": torch.tensor(index), "none": torch.zeros(0, 4)}


def end_of(batches: Iterator[Any]) -> None:
    """Take all batches, as a run does: a machine's failures become its messages."""
    with machine_errors.translating_os_errors("write", Path()):
        list(batches)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for tenths of seconds, where a run waits for seconds."""
    for name, seconds in (("LOOK", 0.1), ("PATIENCE", 0.5), ("GRACE", 0.3)):
        monkeypatch.setattr(workers, name, seconds)
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)  # what shutting workers down takes


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda path: Usage(100, 0, 100))


@pytest.mark.usefixtures("no_room")
def test_batches_that_find_no_room_arrive_the_same_and_it_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    workers._told = False
    for ours, theirs in zip(map(images, range(6)), load(images), strict=True):
        assert ours.keys() == theirs.keys()
        assert not any(tensor.is_shared() for tensor in theirs.values())
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name])
            assert tensor.dtype == theirs[name].dtype
        assert theirs["views"].is_contiguous(memory_format=torch.channels_last)
    assert capfd.readouterr().err.count("/dev/shm") == 1


def test_batches_that_find_room_are_shared() -> None:
    assert all(batch["views"].is_shared() for batch in load(images))


def test_a_tensor_that_another_took_the_room_of_passes_through_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: Tensor) -> Any:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(workers, "reduce_tensor", full)
    assert [int(batch["label"]) for batch in load(images)] == list(range(6))


def unsendable(index: int) -> Any:
    return threading.Lock()


class Full:
    """What can't be sent for want of shared memory."""

    def __reduce__(self) -> Any:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (unsendable, "a loader worker died.*could not send"),
        (lambda index: Full(), "shared memory .* is too small"),
        (lambda index: os._exit(3), "a loader worker died"),
        (lambda index: os.kill(os.getpid(), signal.SIGKILL), "a loader worker died"),
    ],
)
def test_a_worker_that_dies_or_can_not_send_ends_the_run_with_one_message(make: Callable[[int], Any], said: str) -> None:
    began = time.monotonic()
    with pytest.raises(TrainingError, match=f"(?s){said}.*num_workers"):
        end_of(load(make))
    assert time.monotonic() - began < 30


def stuck(index: int) -> Any:
    if index:
        time.sleep(600)
    return index


def busy(index: int) -> Any:
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        pass
    return index


def test_a_worker_that_dies_when_the_work_is_over_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's handler of the signal would raise in whatever is running: here, what ends the workers."""
    batches = load(images)
    next(batches)
    joined = multiprocessing.process.BaseProcess.join

    def killed_first(process: multiprocessing.process.BaseProcess, timeout: float | None = None) -> None:
        if process.is_alive():
            process.kill()
            joined(process, timeout=60)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "join", killed_first)
    batches._shutdown_workers()  # type: ignore[attr-defined]
    assert not any(worker.is_alive() for worker in batches._workers)  # type: ignore[attr-defined]


def test_workers_that_do_nothing_end_the_run_and_slow_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    assert list(load(busy, num_workers=1)) == list(range(6))
    with pytest.raises(TrainingError, match="deliver nothing"):
        end_of(load(stuck))


def test_a_signal_ends_a_wait_without_a_step_and_what_was_done_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    done: list[int] = []

    def work() -> None:
        with interrupt.listening(), interrupt.saving(lambda: f"step {len(done)}"):
            for batch in load(stuck):
                done.append(batch)
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(interrupt.Interrupted) as stopped:
        work()
    assert (stopped.value.by, stopped.value.saved, done) == (signal.SIGTERM, "step 1", [0])


def test_the_loaders_of_other_libraries_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    begun = torch.zeros(1).share_memory_()
    theirs = DataLoader(Numbered(stuck), batch_size=None, num_workers=1, worker_init_fn=lambda number: begun.fill_(1) and None)
    with pytest.raises(TrainingError, match="deliver nothing"):
        end_of(iter(workers.watched(theirs)))
    assert begun.item() == 1


def test_bytes_that_workers_share_need_no_shared_memory_file() -> None:
    shared = workers.shared_bytes(3)
    before = shutil.disk_usage("/dev/shm").used if Path("/dev/shm").is_dir() else 0

    def mark(index: int) -> int:
        shared[index % 3] = 7
        return index

    list(load(mark))
    assert shared.tolist() == [7, 7, 7]
    if before:
        workers.shared_bytes(2**24).fill_(1)
        assert shutil.disk_usage("/dev/shm").used - before < 2**24


SMALL = """
import torch
from pretrain.core import machine_errors
from pretrain.core.workers import Loader
with machine_errors.translating_os_errors("write", __import__("pathlib").Path()):
    batches = list(Loader([torch.full((2**20,), i, dtype=torch.uint8) for i in range(8)], batch_size=None, num_workers=2))
print([int(batch.max()) for batch in batches])
"""


@pytest.mark.parametrize(("size", "said"), [("200k", str([*range(8)])), ("4k", "shared memory (/dev/shm) is too small")])
def test_shared_memory_that_is_too_small_changes_no_batch_or_is_one_message(size: str, said: str) -> None:
    mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("a file system can't be mounted here")
    words = ["unshare", "-m", "sh", "-c", f'{mount}; exec "$0" -c "$1"', sys.executable, SMALL]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[3])
    assert said in done.stdout + done.stderr
    assert "ignored" not in done.stderr
