"""The loop. Nothing in it knows a method's or an augmentation's name."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pretrain import cache, classes, distributed
from pretrain import labels as labelling
from pretrain.checkpoint import save_backbone
from pretrain.config import PretrainConfig
from pretrain.data import Batch, Epochs, Images, loader
from pretrain.errors import DataError
from pretrain.images import ImageSet
from pretrain.inputs import crops
from pretrain.journal import Journal, duration
from pretrain.plan import measure
from pretrain.provenance import Provenance
from pretrain.run import STATE, Run
from pretrain.skipping import Ledger, Skipped, note

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
    skipped: tuple[str, ...] = ()
    """Images that can't be read and were replaced."""


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
    labels = check(config, images)
    kept = cache.kept(
        images,
        config.cache,
        side=config.kept_side,
        reduced=config.reduced_decode,
        num_workers=config.num_workers,
        journal=journal,
        skip=config.on_bad_image == "skip",
    )
    run = Run(config, len(images.classes), device)
    start = run.resume(folder / STATE, journal)
    per_epoch = len(images) // config.batch
    total = per_epoch * config.epochs
    if announce_time:
        seconds = measure(run)[0] * config.batch / distributed.world() * (total - start)
        journal.say(f"estimated time: {duration(seconds)} ({total - start:,} steps of {config.batch} images, a few timed now)")
    provenance = config.provenance(data=data, fingerprint=images.fingerprint(), labels=labelling.share(labels))
    keeper = _Keeper(run, folder, journal, provenance, monitor)
    if keeper.writes:
        classes.save(folder, images)
        labelling.save(folder, images, labels)
    skipped = Skipped(len(images)) if config.on_bad_image == "skip" else None
    ledger = None if skipped is None else Ledger(folder, images.names, skipped)
    began, losses = time.monotonic(), []
    for step, (views, batch_labels, _) in enumerate(batches_of(run, kept, labels, start, ledger), start):
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
        save_backbone(folder / BACKBONE, run.template.backbone(), provenance, projector=run.template.projector())
    distributed.barrier()
    last = [loss for epoch, loss in losses if epoch == config.epochs - 1] or [math.nan]
    speed = (total - start) * config.batch / max(time.monotonic() - began, 1e-9)
    replaced = tuple(ledger.names()) if ledger else ()
    if replaced:
        journal.say(note(replaced, len(images)))
    return Trained(folder / BACKBONE, provenance, sum(last) / len(last), speed, replaced)


def batches_of(
    run: Run, images: Images, labels: Sequence[int], start: int = 0, ledger: Ledger | None = None
) -> Iterator[Batch]:
    """This process's part of every batch from step `start` on; what is replaced in it is in the ledger before."""
    config, world = run.config, distributed.world()
    distributed.divided(config.batch, world)
    part = (distributed.rank(), world)
    batches = Epochs(len(images), batch=config.batch, epochs=config.epochs, seed=config.seed, start=start, part=part)
    drawn = crops(config, images, labels, ledger.skipped if ledger else None)
    for batch in loader(drawn, batches, num_workers=config.num_workers, pinned=run.device.startswith("cuda")):
        if ledger is not None:
            ledger.update()
        yield batch


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
            template, path = self.run.template, self.folder / f"backbone-{epochs:04d}.pth"
            save_backbone(path, template.backbone(), provenance, projector=template.projector())
        if self.monitor is not None and (_due(epochs, config.monitor_every) or (config.monitor_every and steps == total)):
            values = self.monitor(self.run.template.backbone())
            self.journal.step("monitor", epochs, config.epochs, **values)
        if _due(epochs, config.save_every) or steps == total:
            self.run.save(self.folder / STATE, steps)


def _due(epochs: int, every: int) -> bool:
    return every > 0 and epochs % every == 0


def check(config: PretrainConfig, images: ImageSet) -> list[int]:
    """The labels that are used, one per image; refuses images that the run can't train on.

    Raises:
        DataError: If there are fewer images than a batch, or the labels asked for are not there.
    """
    if len(images) < config.batch:
        raise DataError(
            f"fewer images than a batch in {images.root}", seen=f"{len(images)} images, batch {config.batch}", fix="lower batch"
        )
    names = None if config.label_list is None else config.label_list.lines()
    return labelling.kept(images, config.labels_used, names, config.seed)
