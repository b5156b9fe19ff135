"""Two processes on a CPU: the shuffle is undone exactly, all take the same steps, and an interrupted run resumes."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from pretrain.augment.mixed import Mixed, pairs
from pretrain.batch import Batch, Progress
from pretrain.config import PretrainConfig
from pretrain.core.distributed import divided, gather, gather_with_gradient, mean, mine, shuffled, unshuffled
from pretrain.core.errors import ConfigError
from pretrain.parts.contrast import Contrast
from pretrain.parts.key_queue import KeyQueue

TINY = ["arch=resnet18", "size=16", "batch=8", "queue=16", "feature_dim=8", "num_workers=0", "precision=fp32"]
HERE = Path(__file__).resolve()
ROOT = HERE.parents[3]


def test_on_one_process_everything_is_the_identity() -> None:
    images, order = torch.rand(6, 3), torch.tensor([3, 1, 5, 0, 2, 4])
    assert gather(images) is images
    assert torch.equal(mine(images), images)
    assert torch.equal(shuffled(images, order), images[order])
    assert torch.equal(unshuffled(shuffled(images, order), order), images)


def test_a_batch_that_processes_cannot_divide_is_refused() -> None:
    assert divided(8, 2) == divided(8, 2, parts=2) == 4
    for parts in (3, 4):  # uneven, and single images
        with pytest.raises(ConfigError, match=rf"4 images of each process in {parts} parts"):
            divided(8, 2, parts=parts)
    with pytest.raises(ConfigError, match="choose a batch of 9"):
        divided(8, 3)


def check_two_processes() -> None:
    """What each of two processes asserts; run by the test below under torch's launcher."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    everything = torch.arange(16.0).view(8, 2)
    own = everything[rank * 4 : rank * 4 + 4]
    order = torch.tensor([7, 0, 5, 2, 6, 1, 4, 3])
    moved = shuffled(own, order)
    assert torch.equal(moved, everything[order][rank * 4 : rank * 4 + 4])
    assert torch.equal(unshuffled(moved, order), everything)
    _check_images(rank)
    _check_gradients(rank)
    _check_keys(rank, order)
    _check_messages(rank, order)
    _check_blends(rank)
    torch.distributed.destroy_process_group()


def _check_images(rank: int) -> None:
    """Each process is sent what it encodes: the same bits, in the same layout, as of all images gathered and shuffled."""
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        images = torch.rand(8, 3, 5, 6, generator=rng).contiguous(memory_format=torch.channels_last)
        order = torch.randperm(8, generator=rng)
        own = images[rank * 4 : rank * 4 + 4]
        assert torch.equal(gather(own), images)
        moved, wanted = shuffled(own, order), mine(gather(own)[order])
        assert torch.equal(moved, wanted)
        assert moved.stride() == wanted.stride()
        assert torch.equal(unshuffled(moved, order), images)


def _check_gradients(rank: int) -> None:
    """Averaged over processes that each compute the loss of all images, gradients are those of one process with all of them."""
    rng = torch.Generator().manual_seed(0)
    inputs, weight = torch.randn(8, 3, generator=rng), torch.randn(3, 3, generator=rng, requires_grad=True)
    whole = weight.detach().clone().requires_grad_()
    outputs = gather_with_gradient(inputs[rank * 4 : rank * 4 + 4] @ weight)
    (outputs @ outputs.T).softmax(dim=1).diagonal().log().sum().backward()
    alone = inputs @ whole
    (alone @ alone.T).softmax(dim=1).diagonal().log().sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(mean(weight.grad), whole.grad)


def _check_keys(rank: int, order: torch.Tensor) -> None:
    """Keys come from batches of mixed origin, back in their own order, and the queues of both processes are the same."""
    moco, step, images = _moco_step(rank, order, "semi")
    losses = moco(step)
    expected = torch.empty(8, 8)
    for half in (order[:4], order[4:]):  # each process normalises the four images that the shuffle sent it
        expected[half] = F.normalize(moco.key(images[half]), dim=1)
    torch.testing.assert_close(losses.carried["keys"], expected, rtol=1e-4, atol=1e-5)
    moco.after_step(step, losses)
    torch.testing.assert_close(moco.queue.keys[:, :8].T, expected, rtol=1e-4, atol=1e-5)
    assert moco.queue.labels[:8].tolist() == [0] * 4 + [1] * 4


def _moco_step(rank: int, order: torch.Tensor, supervision: str, blend: bool = False) -> tuple[Any, Batch, torch.Tensor]:
    """The same learner in both processes, this one's part of a batch, and the images of both (8, 3, 16, 16)."""
    own_fields = {"supervision": supervision, "aug": "mixup" if blend else "none"}
    config = PretrainConfig.read(
        {"arch": "resnet18", "size": 16, "batch": 8, "queue": 16, "feature_dim": 8, "precision": "fp32", **own_fields}
    )
    torch.manual_seed(0)
    moco = config.method.learner(config.shape(classes=2)).train()
    torch.manual_seed(1)
    images = torch.randn(8, 3, 16, 16)
    own = images[rank * 4 : rank * 4 + 4]
    query = Mixed(own, *pairs(torch.tensor([1, 0, 3, 2]), torch.full((4,), 0.7))) if blend else Mixed(own)
    labels = torch.full((4,), rank if supervision == "semi" else -1)
    return moco, Batch((query, Mixed(own)), (own, own), labels, order, Progress(0, 1, 0, 1)), images


def _check_messages(rank: int, order: torch.Tensor) -> None:
    """A step sends images once and keys once, whoever needs the keys of all; labels once, and where there are any."""
    for supervision, blend, gathered in (("self", False, 1), ("self", True, 1), ("semi", False, 2), ("semi", True, 2)):
        moco, step, _ = _moco_step(rank, order, supervision, blend)
        with pytest.MonkeyPatch.context() as patch:
            sent = _counting(patch, "all_gather", "all_to_all_single", "all_reduce", "broadcast")
            moco.after_step(step, moco(step))
        assert sent == {"all_to_all_single": 1, "all_gather": gathered}, (supervision, blend, sent)


def _counting(patch: pytest.MonkeyPatch, *names: str) -> Counter[str]:
    """Count the calls of torch's collectives."""
    sent: Counter[str] = Counter()

    def counted(name: str, real: Any) -> Any:
        return lambda *words, **more: (sent.update([name]), real(*words, **more))[1]

    for name in names:
        patch.setattr(torch.distributed, name, counted(name, getattr(torch.distributed, name)))
    return sent


def _check_blends(rank: int) -> None:
    """Under i-Mix the keys of both processes are candidates, with their labels; an image's own is found among them."""
    rng = torch.Generator().manual_seed(2)
    queries, keys = (F.normalize(torch.randn(8, 5, generator=rng), dim=1) for _ in range(2))
    partner, share = torch.tensor([1, 2, 3, 0, 3, 0, 1, 2]), torch.rand(8, generator=rng)  # within each process's half
    labels, queue = torch.tensor([0, 1, -1, 0, 1, 0, 1, -1]), KeyQueue(5, 16)
    torch.distributed.broadcast(queue.keys, src=0)
    queue.labels.copy_(torch.arange(16) % 3 - 1)
    half = slice(rank * 4, rank * 4 + 4)
    view = Mixed(queries[half], *pairs(partner[half], share[half]))
    contrast = Contrast(0.2, "positives", labelled=True)
    loss, accuracy = contrast(queries[half], keys[half], queue, view, labels[half], (gather(keys[half]), gather(labels[half])))
    known = [*labels.tolist(), *queue.labels.tolist()]
    total, hits = 0.0, 0
    for i in range(rank * 4, rank * 4 + 4):
        scores = [float(queries[i] @ key) / 0.2 for key in [*keys, *queue.keys.T]]
        hits += max(range(24), key=scores.__getitem__) == i
        for source, weight in ((i, float(share[i])), (rank * 4 + int(partner[i]), 1 - float(share[i]))):
            wanted = known[source]
            same = {c for c, label in enumerate(known) if label == wanted != -1} | {source}
            negatives = sum(math.exp(s) for c, s in enumerate(scores) if c not in same)
            total += weight * math.log(1 + negatives * sum(math.exp(-scores[c]) for c in same))
    assert abs(float(loss) - total / 4) < 1e-4
    assert float(accuracy) == hits / 4


def test_shuffle_and_candidates_are_right_across_two_processes() -> None:
    code = f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); import {HERE.stem}; {HERE.stem}.check_two_processes()"
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable, "-c", code]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]


def command(*words: str) -> list[str]:
    settings = [word for pair in TINY for word in ("--set", pair)]
    return [sys.executable, "-m", "bench", "pretrain", "--devices", "2", *words, *settings]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, cwd=folder, timeout=200, env=ENVIRONMENT)


def kill_after_a_checkpoint(folder: Path, out: Path, *words: str) -> None:
    running = subprocess.Popen(
        command(*words, "--out", str(out)), cwd=folder, env=ENVIRONMENT, start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 100
    while not (out / "last.pth").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    for worker in (int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_of(path, out)):
        os.kill(worker, signal.SIGKILL)


def _is_of(process: Path, out: Path) -> bool:
    try:
        return str(out).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


def stop_while_it_goes_on(folder: Path, out: Path, *words: str) -> tuple[int, str]:
    """SIGTERM to the command alone, once it has resumed; its exit code and output."""
    running = subprocess.Popen(
        command(*words, "--out", str(out)), cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while "resuming after step" not in (out / "log.txt").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=100)[1]
    return running.returncode, said


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_two_processes_train_and_a_run_killed_and_stopped_ends_as_one_that_was_not(root: Path, tmp_path: Path) -> None:
    words = ["--data", str(root), "--epochs", "16", "--set", "save_every=2"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = bench(tmp_path, *words, "--set", "save_every=16", "--out", str(whole))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("result.json") == 1  # of several processes only one speaks
    assert "trained in 2 processes" in (whole / "result.json").read_text()
    kill_after_a_checkpoint(tmp_path, killed, *words)
    assert not (killed / "result.json").exists()
    code, said = stop_while_it_goes_on(tmp_path, killed, *words)
    assert code == 143, said
    assert re.search(r"^bench: stopped by SIGTERM; saved: step \d+ of 16; to go on: bench pretrain", said, re.MULTILINE), said
    assert said.count("bench: ") == 1  # of several processes only one speaks
    assert "Traceback" not in said
    alone = bench(tmp_path, *words, "--out", str(killed), "--devices", "1")  # the later option counts
    assert alone.returncode == 2
    assert re.search(r"another number of processes\n.*1 processes now\n.*2, as before", alone.stderr)
    again = bench(tmp_path, *words, "--out", str(killed), "--resume")
    assert again.returncode == 0, again.stderr[-3000:]
    assert (killed / "log.txt").read_text().count("resuming after step") == 2
    ours, theirs = (torch.load(path / "backbone.pth", weights_only=True)["state_dict"] for path in (whole, killed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_batch_of_odd_parts_is_one_message(root: Path, tmp_path: Path) -> None:
    done = bench(tmp_path, "--data", str(root), "--devices", "3")  # the later option counts
    assert done.returncode == 2
    assert done.stderr.startswith("bench: 3 processes can't divide a batch of 8")
    assert not (tmp_path / "runs").exists()
