"""Two processes are one whose batch passes through the networks in two parts: losses, parameters, queues and centres."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pretrain.augment.mixed import Mixed, pairs
from pretrain.batch import Batch, Progress
from pretrain.core import distributed

HERE = Path(__file__).resolve()
ROOT = HERE.parents[3]
STEPS = 3
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mocov1": ("mocov1", {}),
    "mocov2": ("mocov2", {"local_views": 2}),
    "mocov2plus": ("mocov2plus", {}),
    "mocov2plus, blends": ("mocov2plus", {"aug": "mixup"}),
    "smocov2plus": ("smocov2plus", {"supervision": "full"}),
    "mocov3": ("mocov3", {}),
    "mocov3, blends": ("mocov3", {"aug": "cutmix"}),
    "byol": ("byol", {"local_views": 1, "local_views_anyway": True}),
    "byol-sgd, blends": ("byol-sgd", {"aug": "mixup"}),
    "byol-lars": ("byol-lars", {}),
    "simsiam": ("simsiam", {}),
    "simclr": ("simclr", {"local_views": 2}),
    "simclr, labels, blends": ("simclr", {"local_views": 1, "supervision": "full", "aug": "mixup"}),
    "supcon": ("supcon", {}),
    "swav": ("swav", {}),
    "swav, a queue from the start": ("swav", {"queue": 8, "queue_epoch": 0, "freeze_steps": 1}),
    "dino": ("dino", {"freeze_epochs": 0}),
    "barlowtwins": ("barlowtwins", {"gradient": "exact"}),
    "vicreg": ("vicreg", {}),
    "supervised": ("supervised", {"aug": "mixup"}),
}
"""Every method, and what it gathers only with labels or blends."""


def course(tiny: Any, name: str, fields: dict[str, Any], rank: int, processes: int) -> Iterator[Tensor]:
    """The losses of three steps of one process's part, and all tensors that are no running statistics."""
    learner = tiny.learner(tiny.config(name, **fields, bn_splits=2 // processes))
    for part in learner.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.track_running_stats, part.running_mean, part.running_var, part.num_batches_tracked = False, None, None, None
    options = {"broadcast_buffers": False}
    network: Callable[[Batch], Any] = nn.parallel.DistributedDataParallel(learner, **options) if processes > 1 else learner
    optimizer = torch.optim.SGD([parameter for _, parameter in learner.trained()], 0.01, momentum=0.9)
    for step in range(STEPS):
        progress = Progress(step, STEPS, 0, 1)
        learner.before_forward(progress)
        batch = part_of(
            tiny, tiny.config(name, **fields), step, progress, slice(rank * 8 // processes, (rank + 1) * 8 // processes)
        )
        torch.manual_seed(step)
        losses = network(batch)
        optimizer.zero_grad()
        losses.total.backward()
        learner.after_backward(progress)
        optimizer.step()
        learner.after_step(batch, losses)
        yield distributed.mean(losses.total.detach())
    yield from (tensor for _, tensor in sorted(learner.state_dict().items()))


def part_of(tiny: Any, config: Any, step: int, progress: Progress, mine: slice) -> Batch:
    """One process's images of a step; partners of a blend are of the same half of the batch."""
    rng = torch.Generator().manual_seed(step)
    clean = [images[mine] for images in tiny.images(config, step)]
    order, labels = torch.randperm(8, generator=rng), torch.arange(8) % 3
    if config.method.labels == "optional":
        labels -= 1  # the first class is unlabelled
    partner, share = torch.tensor([1, 2, 3, 0, 7, 4, 5, 6]), torch.rand(8, generator=rng)
    partner, share = partner[mine] - mine.start, share[mine]
    blended = [torch.lerp(images[partner], images, share.view(-1, 1, 1, 1)) for images in clean]
    views = [Mixed(images, *pairs(partner, share)) if config.aug != "none" else Mixed(images) for images in blended]
    if config.aug == "none":
        views = [Mixed(images) for images in clean]
    known = labels[mine] if config.supervision == "full" else torch.full_like(partner, -1)
    return Batch(tuple(views), tuple(clean), known, order, progress)


def check() -> None:
    """What each of two processes asserts, under torch's launcher: before the group is there each is one process alone."""
    import tiny_methods as tiny

    tiny.register()
    torch.set_default_dtype(torch.float64)  # so that only what is defined differently differs
    Tensor.float = Tensor.double  # type: ignore[method-assign,assignment]
    alone = {case: list(course(tiny, *wanted, rank=0, processes=1)) for case, wanted in CASES.items()}
    torch.distributed.init_process_group("gloo")
    rank, different = torch.distributed.get_rank(), []
    for case, wanted in CASES.items():
        for mine, whole in zip(course(tiny, *wanted, rank=rank, processes=2), alone[case], strict=True):
            scale = max(float(whole.abs().max()), 1e-6)
            if float((mine.double() - whole.double()).abs().max()) > 1e-9 * scale:
                different.append(f"{case}: {mine.flatten()[:4].tolist()} and {whole.flatten()[:4].tolist()}")
                break
    check_published_gradient(tiny, rank)
    torch.distributed.destroy_process_group()
    assert not different, "\n".join(different)


def check_published_gradient(tiny: Any, rank: int) -> None:
    """Barlow Twins' published gradient is that of one process divided by the processes."""
    found = []
    for kind in ("published", "exact"):
        learner = tiny.learner(tiny.config("barlowtwins", gradient=kind))
        batch = part_of(tiny, tiny.config("barlowtwins"), 0, Progress(0, 1, 0, 1), slice(rank * 4, rank * 4 + 4))
        learner(batch).total.backward()
        found.append(distributed.mean(learner.online.head[0].weight.grad))
    torch.testing.assert_close(2 * found[0], found[1])


@pytest.mark.timeout(200)
def test_two_processes_are_one_with_two_parts() -> None:
    code = f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); import {HERE.stem}; {HERE.stem}.check()"
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable, "-c", code]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, cwd=ROOT, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
