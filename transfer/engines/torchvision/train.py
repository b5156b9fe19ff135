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

from pretrain.core import distributed, interrupt
from pretrain.core.errors import TrainingError
from pretrain.core.journal import Journal
from transfer.datasets.objects import Picture
from transfer.engines import state
from transfer.engines.parallel import together
from transfer.engines.precise_bn import precise_bn
from transfer.engines.torchvision.data import ORDER, SAMPLING, STATISTICS, Sample, batches, loader, torch_random
from transfer.engines.torchvision.detector import Detector
from transfer.tasks.detection import DetectionSettings

CHECKPOINT = "last.pth"
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Fit:
    """All that a training needs beside the model."""

    pictures: tuple[Picture, ...]
    settings: DetectionSettings
    seed: int
    folder: Path
    identity: str
    """Digest of what is trained on what; a checkpoint of another run is refused."""
    journal: Journal


def learning_rate(settings: DetectionSettings, step: int) -> float:
    """Compute the learning rate of an iteration, counted from 0."""
    warmup = min(settings.warmup, settings.iters)
    if step >= warmup:
        return settings.lr * _decay(settings, step)
    end = _decay(settings, warmup)
    start = settings.warmup_factor
    return settings.lr * (start + (end - start) * step / warmup)


def _decay(settings: DetectionSettings, step: int) -> float:
    return float(settings.gamma ** bisect_right(settings.steps, step))


def make_optimizer(model: nn.Module, settings: DetectionSettings) -> torch.optim.SGD:
    """Make SGD over everything, norm layers without weight decay, in torch's fused form: the same bits, three times as fast."""
    layers = [module for module in model.modules() if isinstance(module, NORMS)]
    norms = [parameter for layer in layers for parameter in layer.parameters(recurse=False)]
    without = {id(parameter) for parameter in norms}
    others = [parameter for parameter in model.parameters() if id(parameter) not in without]
    groups = [{"params": others, "weight_decay": settings.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)


def begin(model: Detector, run: Fit) -> tuple[torch.optim.SGD, int]:
    """Make the optimiser, and load the model and the optimiser from `last.pth`, if the folder has one.

    Random numbers need no state: they are functions of the iteration.

    Returns:
        The optimiser, and the number of iterations already done.

    Raises:
        CheckpointError: If `last.pth` is broken or of another run.
    """
    optimizer = make_optimizer(model, run.settings)
    payload = state.load(run.folder / CHECKPOINT, run.identity, {"step", "model", "optimizer"})
    if payload is None:
        return optimizer, 0
    model.load_state_dict(payload["model"])
    optimizer.load_state_dict(payload["optimizer"])
    return optimizer, int(payload["step"])


def train(model: Detector, run: Fit, optimizer: torch.optim.SGD, start: int) -> None:
    """Train in place from iteration `start` on. The first of several processes saves.

    Raises:
        TrainingError: If the loss is not finite; names the iteration and the terms.
        Interrupted: If a signal asked for a stop, once the iteration is done and saved.
    """
    path, total = run.folder / CHECKPOINT, run.settings.iters
    model.train()
    wrapped = together(model, model.device)
    saved, done = time.monotonic(), start

    def save() -> str:
        if distributed.rank() == 0:
            content = {"step": done, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
            state.save(path, run.identity, content)
        return f"iteration {done:,} of {total:,}"

    feed = samples(run, ORDER, start)
    with interrupt.saving(save):
        for step in range(start, total):
            rate = learning_rate(run.settings, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            values = _step(wrapped, optimizer, [sample.to(model.device) for sample in next(feed)], run.seed, step)
            done = step + 1
            run.journal.step("train", done, total, lr=rate, **values)
            stop = distributed.agreed_stop()
            last = done == total and path.is_file()  # the evaluation may be interrupted, too
            if stop or last or time.monotonic() - saved >= run.settings.checkpoint_seconds:
                told, saved = save(), time.monotonic()
            if stop:
                distributed.barrier()  # a launcher ends all processes once one has ended
                raise interrupt.Interrupted(stop, told)
    distributed.as_the_first(model.buffers())


def synchronised(model: Detector) -> Detector:
    """Let BN take its statistics over all processes, on GPUs; on CPUs torch can't, and the detector stays as it is."""
    if distributed.world() == 1 or model.device.type == "cpu":
        return model
    converted: Detector = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return converted


def samples(run: Fit, stream: int, skip: int = 0) -> Iterator[list[Sample]]:
    """Yield this process's part of each batch of a stream, endlessly, without the first `skip` batches."""
    distributed.divided(run.settings.batch, distributed.world())
    order = itertools.islice(batches(run.pictures, run.settings.batch, run.seed, stream), skip, None)
    return iter(loader(run.pictures, run.settings, (list(distributed.dealt(batch)) for batch in order), run.seed))


def _drawn(seed: int, stream: int, step: int) -> torch.Generator:
    """Make the random generator for this process's part of a step."""
    return torch_random(seed, stream, step * distributed.world() + distributed.rank())


def set_statistics(model: Detector, run: Fit) -> None:
    """Set BN's statistics from other batches than training's next ones (precise BN), the regions sampled as in training."""
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
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # queued on a GPU before the losses, for which it is waited, are read
    means = distributed.mean(torch.stack([total, *losses.values()]).detach())
    values = dict(zip(("loss", *losses), means.tolist(), strict=True))
    if not math.isfinite(values["loss"]):
        terms = ", ".join(f"{name} {value:g}" for name, value in values.items() if name != "loss")
        seen = f"{terms}; learning rate {optimizer.param_groups[0]['lr']:g}"
        fix = "use a smaller learning rate (--set lr=...) or a longer warm-up (--set warmup=...)"
        raise TrainingError(f"the loss is not finite at iteration {step + 1}", seen=seen, fix=fix)
    optimizer.step()
    return values
