"""The training loop: SGD with a warm-up and steps, resumable at any iteration (`solver/`, `engine/train_loop.py`)."""

import itertools
import math
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pretrain.core import distributed, interrupt
from pretrain.core.errors import TrainingError
from pretrain.core.journal import Journal
from transfer.datasets.detection import Picture
from transfer.engines import state
from transfer.engines.precise_bn import precise_bn
from transfer.engines.torchvision.data import ORDER, SAMPLING, STATISTICS, Sample, batches, loader, torch_random
from transfer.engines.torchvision.detector import Detector
from transfer.tasks.detection import DetectionSettings

CHECKPOINT = "last.pth"
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Fit:
    """One training: what it needs beside the model."""

    pictures: tuple[Picture, ...]
    settings: DetectionSettings
    seed: int
    folder: Path
    identity: str
    """Digest of what is trained on what; a checkpoint of another is refused."""
    journal: Journal


def learning_rate(settings: DetectionSettings, step: int) -> float:
    """The learning rate of an iteration, counted from 0."""
    warmup = min(settings.warmup, settings.iters)
    if step >= warmup:
        return settings.lr * _decay(settings, step)
    end = _decay(settings, warmup)
    start = settings.warmup_factor
    return settings.lr * (start + (end - start) * step / warmup)


def _decay(settings: DetectionSettings, step: int) -> float:
    return float(settings.gamma ** bisect_right(settings.steps, step))


def make_optimizer(model: nn.Module, settings: DetectionSettings) -> torch.optim.SGD:
    """SGD over everything, in torch's fused form: the same bits in a third of the time; norm layers without weight decay."""
    layers = [module for module in model.modules() if isinstance(module, NORMS)]
    norms = [parameter for layer in layers for parameter in layer.parameters(recurse=False)]
    without = {id(parameter) for parameter in norms}
    others = [parameter for parameter in model.parameters() if id(parameter) not in without]
    groups = [{"params": others, "weight_decay": settings.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)


def train(model: Detector, run: Fit) -> None:
    """Train in place, from `last.pth` on where the folder has one. Of several processes the first one saves.

    Raises:
        TrainingError: If the loss is not finite; names the iteration and the terms.
        CheckpointError: If `last.pth` is broken or of another run.
        Interrupted: If a signal asked for a stop, once the iteration is done and saved.
    """
    optimizer = make_optimizer(model, run.settings)
    path = run.folder / CHECKPOINT
    start = _resume(model, optimizer, path, run)
    run.journal.rewind(train=start)
    model.train()
    together = _together(model)
    saved = time.monotonic()
    feed = samples(run, ORDER, start)
    for step in range(start, run.settings.iters):
        rate = learning_rate(run.settings, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        values = _step(together, optimizer, [sample.to(model.device) for sample in next(feed)], run.seed, step)
        run.journal.step("train", step + 1, run.settings.iters, lr=rate, **values)
        stop = distributed.agreed_stop()
        last = step + 1 == run.settings.iters and path.is_file()  # the evaluation may be interrupted, too
        due = stop or last or time.monotonic() - saved >= run.settings.checkpoint_seconds
        if due and distributed.rank() == 0:
            _save(model, optimizer, path, run.identity, step + 1)
            saved = time.monotonic()
        if stop:
            distributed.barrier()  # a launcher ends all processes once one has ended
            raise interrupt.Interrupted(stop, f"iteration {step + 1:,} of {run.settings.iters:,}")
    distributed.as_the_first(model.buffers())


def synchronised(model: Detector) -> Detector:
    """The detector with BN over the images of all processes, on GPUs; on CPUs torch has none, and it stays as it is."""
    if distributed.world() == 1 or model.device.type == "cpu":
        return model
    converted: Detector = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return converted


def _together(model: Detector) -> nn.Module:
    """The detector whose gradients are means over all processes; before each step, its statistics become the first's."""
    if distributed.world() == 1:
        return model
    return DistributedDataParallel(model, device_ids=None if model.device.type == "cpu" else [model.device])


def samples(run: Fit, stream: int, skip: int = 0) -> Iterator[list[Sample]]:
    """Endless batches of a stream, without the first `skip`: of each the part of this process."""
    distributed.divided(run.settings.batch, distributed.world())
    order = itertools.islice(batches(run.pictures, run.settings.batch, run.seed, stream), skip, None)
    return iter(loader(run.pictures, run.settings, (list(distributed.dealt(batch)) for batch in order), run.seed))


def _drawn(seed: int, stream: int, step: int) -> torch.Generator:
    """The random numbers of this process's part of a step."""
    return torch_random(seed, stream, step * distributed.world() + distributed.rank())


def set_statistics(model: Detector, run: Fit) -> None:
    """Precise BN over other batches than training's next ones, the regions sampled as in training."""
    model.train()
    forwards = run.settings.precise_bn
    steps = itertools.count()

    def forward(batch: list[Sample]) -> None:
        step = next(steps)
        model.losses([sample.to(model.device) for sample in batch], _drawn(run.seed, STATISTICS, step))
        run.journal.step("precise-bn", step + 1, forwards)

    if forwards:
        precise_bn(model, forward, itertools.islice(samples(run, STATISTICS), forwards))


def _step(model: nn.Module, optimizer: torch.optim.SGD, batch: list[Sample], seed: int, step: int) -> dict[str, float]:
    losses: dict[str, Tensor] = model(batch, _drawn(seed, SAMPLING, step))
    total = torch.stack(list(losses.values())).sum()
    means = distributed.mean(torch.stack([total, *losses.values()]).detach())
    values = dict(zip(("loss", *losses), means.tolist(), strict=True))
    if not math.isfinite(values["loss"]):
        terms = ", ".join(f"{name} {value:g}" for name, value in values.items() if name != "loss")
        seen = f"{terms}; learning rate {optimizer.param_groups[0]['lr']:g}"
        fix = "use a smaller learning rate (--set lr=...) or a longer warm-up (--set warmup=...)"
        raise TrainingError(f"the loss is not finite at iteration {step + 1}", seen=seen, fix=fix)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step()
    return values


def _save(model: Detector, optimizer: torch.optim.SGD, path: Path, identity: str, step: int) -> None:
    state.save(path, identity, {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()})


def _resume(model: Detector, optimizer: torch.optim.SGD, path: Path, run: Fit) -> int:
    """Iterations already done. Random numbers need no state: they are functions of the iteration."""
    payload = state.load(path, run.identity, {"step", "model", "optimizer"})
    if payload is None:
        return 0
    model.load_state_dict(payload["model"])
    optimizer.load_state_dict(payload["optimizer"])
    run.journal.say(f"continuing at iteration {payload['step']} of {run.settings.iters}")
    return int(payload["step"])
