"""The loop. Nothing in it knows a method's or an augmentation's name.

Every random draw depends on the seed and on the position (epoch, image, step) alone, never on what was drawn before,
so that a run cut anywhere goes on as if it had not been.
"""

import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.checkpoint import save_atomically, save_backbone
from pretrain.config import PretrainConfig
from pretrain.data import UNLABELLED, Epochs, ImageSet, keep_labels, loader
from pretrain.errors import ConfigError, DataError, TrainingError
from pretrain.inputs import Inputs, crops, generator
from pretrain.journal import Journal, duration
from pretrain.provenance import Provenance
from pretrain.template import Template

STATE = "last.pth"
BACKBONE = "backbone.pth"
TIMED_PIXELS = 2**18
"""Pixels of one view of the batch that an estimate is timed on: 5 images of 224 pixels a side, 64 of 64."""
LOG_EVERY = 10
"""Steps between lines of metrics.jsonl."""


@dataclass(frozen=True)
class Trained:
    """What a pre-training left."""

    backbone: Path
    provenance: Provenance
    loss: float
    """Mean over the last epoch's logged steps."""
    images_per_second: float


def train(
    config: PretrainConfig,
    images: ImageSet,
    folder: Path,
    journal: Journal,
    *,
    data: str,
    device: str = "cpu",
    announce_time: bool = False,
) -> Trained:
    """Pre-train a backbone, from the folder's last checkpoint if there is one.

    Args:
        config: The run.
        images: Training images.
        folder: Where checkpoints go; exists.
        journal: Told of every step.
        data: Name of the images, for the provenance.
        device: `cpu` or `cuda`.
        announce_time: Measure a few images first and say how long the run will take.

    Raises:
        DataError: If there are fewer images than a batch, or labels are needed and there is one class.
        TrainingError: If the loss is not finite; the last good checkpoint stays.
    """
    check(config, images)
    labels = _labels(config, images, folder)
    run = _Run(config, len(images.classes), device)
    start = run.resume(folder / STATE, journal)
    batches = Epochs(len(images), batch=config.batch, epochs=config.epochs, seed=config.seed, start=start)
    total = batches.steps_per_epoch * config.epochs
    if announce_time:
        seconds = run.seconds_per_image() * config.batch * (total - start)
        journal.say(f"estimated time: {duration(seconds)} ({total - start:,} steps of {config.batch} images, a few timed now)")
    drawn = crops(config, images, labels)
    began, losses = time.monotonic(), []
    for step, (views, batch_labels, _) in enumerate(loader(drawn, batches, num_workers=config.num_workers), start):
        epoch = step // batches.steps_per_epoch
        loss, accuracy = run.step(step, epoch, views, batch_labels)
        rate = (step + 1 - start) * config.batch / (time.monotonic() - began)
        if step % LOG_EVERY == 0 or step + 1 == total:
            losses.append((epoch, loss))
            journal.step("pretrain", step + 1, total, loss=loss, accuracy=accuracy, lr=run.lr, images_per_second=rate)
        else:
            journal.step("pretrain", step + 1, total)
        if (step + 1) % (batches.steps_per_epoch * config.save_every) == 0 or step + 1 == total:
            run.save(folder / STATE, step + 1)
    provenance = config.provenance(data=data, fingerprint=images.fingerprint())
    save_backbone(folder / BACKBONE, run.template.backbone(), provenance)
    last = [loss for epoch, loss in losses if epoch == config.epochs - 1] or [math.nan]
    speed = (total - start) * config.batch / max(time.monotonic() - began, 1e-9)
    return Trained(folder / BACKBONE, provenance, sum(last) / len(last), speed)


def lr_at(config: PretrainConfig, epoch: int) -> float:
    """Learning rate of an epoch (facebookresearch/moco @7397dfe, main_moco.py, adjust_learning_rate)."""
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
    return config.lr * 0.1 ** sum(epoch >= share * config.epochs for share in (0.6, 0.8))


class _Run:
    """The moving parts of one run: template, optimiser, and how a step changes them."""

    def __init__(self, config: PretrainConfig, classes: int, device: str) -> None:
        self.config, self.device = config, device
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.template = Template(config, classes)
        self.template.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimizer = _optimizer(self.template.query, config)
        self.inputs = Inputs.of(config)
        self.lr = config.lr

    def step(self, step: int, epoch: int, views: Tensor, labels: Tensor) -> tuple[float, float]:
        """One optimiser step on a batch of crops (V, N, 3, S, S) uint8; returns loss and accuracy."""
        rng = generator(self.config.seed, step, self.device)
        self.lr = lr_at(self.config, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        loss, accuracy = self._loss(self.template, views.to(self.device), labels.to(self.device), rng)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {step} (epoch {epoch})",
                seen=f"learning rate {self.lr:g}, temperature {self.config.temperature:g}, batch {self.config.batch}",
                fix=f"lower base_lr; the last good checkpoint is {STATE} in the run's folder",
            )
        if step >= self.config.filling_steps:
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return value, float(accuracy)

    def _loss(self, template: Template, views: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        query, key = self.inputs(views, rng)
        order = torch.randperm(len(labels), generator=rng, device=labels.device)
        loss: tuple[Tensor, Tensor] = template(query, key, labels, order)
        return loss

    def seconds_per_image(self) -> float:
        """Wall seconds of training on one image, measured on a copy: the run itself stays as it is."""
        n = min(self.config.batch, max(2, TIMED_PIXELS // self.config.size**2) * self.config.bn_splits)
        shape = (self.template.method.views, n, 3, self.config.size, self.config.size)
        views = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        template = copy.deepcopy(self.template)
        labels = torch.zeros(n, dtype=torch.long, device=self.device)
        times = []
        for _ in range(3):
            if self.template.method.negatives == "queue":
                template.queue_end.zero_()  # fewer keys than a batch might wrap around its end
            began = time.monotonic()
            loss = self._loss(template, views, labels, torch.Generator(self.device).manual_seed(0))[0]
            loss.backward()
            times.append((time.monotonic() - began) / n)
        return min(times)  # the first warms up, and other processes only ever slow one down

    def save(self, path: Path, step: int) -> None:
        """Everything needed to go on after `step` steps."""
        state: dict[str, Any] = {
            "step": step,
            "config": self.config.model_dump(mode="json"),
            "template": self.template.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_atomically(state, path)

    def resume(self, path: Path, journal: Journal) -> int:
        """Take up a checkpoint if there is one; returns the number of steps already done."""
        if not path.is_file():
            return 0
        state = torch.load(path, map_location=self.device, weights_only=True)
        saved = PretrainConfig.read(state["config"], where=str(path))
        different = saved.differences(self.config)
        if different:
            raise ConfigError(
                f"{path} is of another run", seen=f"it has {different}", allowed="the same settings", fix="use another --out"
            )
        self.template.load_state_dict(state["template"])
        self.optimizer.load_state_dict(state["optimizer"])
        journal.say(f"going on after step {state['step']} from {path}")
        return int(state["step"])


def _optimizer(query: nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "adamw":
        return torch.optim.AdamW(query.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(query.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)


def check(config: PretrainConfig, images: ImageSet) -> None:
    """Refuse images that the run can't train on.

    Raises:
        DataError: If there are fewer images than a batch, or labels are needed and there is one class.
    """
    if len(images) < config.batch:
        raise DataError(
            f"fewer images than a batch in {images.root}", seen=f"{len(images)} images, batch {config.batch}", fix="lower batch"
        )
    if config.labels_used and len(images.classes) < 2:
        raise DataError(f"labels asked for, but {images.root} has one class", seen=images.classes, fix="use --supervision self")


def _labels(config: PretrainConfig, images: ImageSet, folder: Path) -> list[int]:
    """The labels that are used; which they are is saved with the run."""
    labels = keep_labels(images.labels, config.labels_used, config.seed)
    kept = [name for name, label in zip(images.names, labels, strict=True) if label != UNLABELLED]
    (folder / "labelled.txt").write_text("".join(f"{name}\n" for name in kept), encoding="utf-8")
    return labels
