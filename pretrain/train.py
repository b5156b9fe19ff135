"""The loop. Nothing in it knows a method's or an augmentation's name."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pretrain import distributed
from pretrain.checkpoint import save_backbone
from pretrain.config import PretrainConfig
from pretrain.data import UNLABELLED, Crop, Crops, Epochs, ImageSet, keep_labels, loader
from pretrain.errors import DataError
from pretrain.journal import Journal, duration
from pretrain.plan import measure
from pretrain.provenance import Provenance
from pretrain.run import STATE, Run

BACKBONE = "backbone.pth"
LOG_EVERY = 10
"""Steps between lines of metrics.jsonl."""

Monitor = Callable[[dict[str, Tensor]], dict[str, float]]
"""Called with a backbone's tensors, by torchvision's names; returns numbers for the log."""


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
    monitor: Monitor | None = None,
) -> Trained:
    """Pre-train a backbone, from the folder's last checkpoint if there is one.

    In a process group every process calls this; the first one writes.

    Args:
        config: The run.
        images: Training images.
        folder: Where checkpoints go; exists.
        journal: Told of every step.
        data: Name of the images, for the provenance.
        device: `cpu` or `cuda`.
        announce_time: Measure a few images first and say how long the run will take.
        monitor: Measures the backbone every `monitor_every` epochs.

    Raises:
        DataError: If there are fewer images than a batch, or labels are needed and there is one class.
        TrainingError: If the loss is not finite; the last good checkpoint stays.
    """
    check(config, images)
    labels = keep_labels(images.labels, config.labels_used, config.seed)
    run = Run(config, len(images.classes), device)
    start = run.resume(folder / STATE, journal)
    per_epoch = len(images) // config.batch
    total = per_epoch * config.epochs
    if announce_time:
        seconds = measure(run)[0] * config.batch / distributed.world() * (total - start)
        journal.say(f"estimated time: {duration(seconds)} ({total - start:,} steps of {config.batch} images, a few timed now)")
    provenance = config.provenance(data=data, fingerprint=images.fingerprint())
    keeper = _Keeper(run, folder, journal, provenance, monitor)
    if keeper.writes:
        _list_labelled(images, labels, folder)
    began, losses = time.monotonic(), []
    for step, (views, batch_labels, _) in enumerate(batches_of(run, images, labels, start), start):
        epoch = step // per_epoch
        loss, accuracy = run.step(step, epoch, views, batch_labels)
        rate = (step + 1 - start) * config.batch / (time.monotonic() - began)
        if step % LOG_EVERY == 0 or step + 1 == total:
            losses.append((epoch, loss))
            journal.step("pretrain", step + 1, total, loss=loss, accuracy=accuracy, lr=run.lr, images_per_second=rate)
        else:
            journal.step("pretrain", step + 1, total)
        if (step + 1) % per_epoch == 0:
            keeper.epoch_done(epoch + 1, step + 1, total)
    if keeper.writes:
        save_backbone(folder / BACKBONE, run.template.backbone(), provenance)
    distributed.barrier()
    last = [loss for epoch, loss in losses if epoch == config.epochs - 1] or [math.nan]
    speed = (total - start) * config.batch / max(time.monotonic() - began, 1e-9)
    return Trained(folder / BACKBONE, provenance, sum(last) / len(last), speed)


def batches_of(run: Run, images: ImageSet, labels: Sequence[int], start: int = 0) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
    """This process's part of every batch from step `start` on: crops (V, n, 3, S, S) uint8, labels (n,), indices (n,)."""
    config, pipeline = run.config, run.pipelines[0]
    distributed.divided(config.batch, distributed.world())
    part = (distributed.rank(), distributed.world())
    crop = Crop(config.size, pipeline.crop_scale, pipeline.crop_ratio)
    crops = Crops(images, labels, crop, views=run.template.method.views, seed=config.seed)
    batches = Epochs(len(images), batch=config.batch, epochs=config.epochs, seed=config.seed, start=start, part=part)
    return loader(crops, batches, num_workers=config.num_workers)


class _Keeper:
    """What happens between epochs: checkpoints, backbones kept on the way, the monitor. Only the first process writes."""

    def __init__(self, run: Run, folder: Path, journal: Journal, provenance: Provenance, monitor: Monitor | None) -> None:
        self.run, self.folder, self.journal, self.provenance, self.monitor = run, folder, journal, provenance, monitor
        self.writes = distributed.rank() == 0

    def epoch_done(self, epochs: int, steps: int, total: int) -> None:
        """After `epochs` whole epochs and `steps` of `total` steps."""
        config = self.run.config
        if not self.writes:
            return
        if _due(epochs, config.keep_every):
            provenance = self.provenance.replace({"epochs": epochs})
            save_backbone(self.folder / f"backbone-{epochs:04d}.pth", self.run.template.backbone(), provenance)
        if self.monitor is not None and (_due(epochs, config.monitor_every) or (config.monitor_every and steps == total)):
            values = self.monitor(self.run.template.backbone())
            self.journal.step("monitor", epochs, config.epochs, **values)
        if _due(epochs, config.save_every) or steps == total:
            self.run.save(self.folder / STATE, steps)


def _due(epochs: int, every: int) -> bool:
    return every > 0 and epochs % every == 0


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


def _list_labelled(images: ImageSet, labels: list[int], folder: Path) -> None:
    """Which images keep their label is saved with the run."""
    kept = [name for name, label in zip(images.names, labels, strict=True) if label != UNLABELLED]
    (folder / "labelled.txt").write_text("".join(f"{name}\n" for name in kept), encoding="utf-8")
