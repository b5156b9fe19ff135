"""The loop. Nothing in it knows a method's or an augmentation's name."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pretrain.checkpoint import save_backbone
from pretrain.config import PretrainConfig
from pretrain.core import distributed, interrupt
from pretrain.core.errors import DataError
from pretrain.core.journal import Journal, duration
from pretrain.images import cache, classes
from pretrain.images import labels as labelling
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Batch, Epochs, Images, loader
from pretrain.images.skipping import Ledger, Skipped, note
from pretrain.inputs import crops
from pretrain.plan import measure
from pretrain.provenance import Provenance
from pretrain.trainer import STATE, Trainer

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
    images_per_second: float | None
    """Of the steps done now; null where an earlier command had done them all."""
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
        Interrupted: If a signal asked for a stop, once the step is done and saved.
    """
    labels = check(config, images)
    kept = cache.open_images(
        images,
        config.cache,
        side=config.kept_side,
        reduced=config.reduced_decode,
        num_workers=config.num_workers,
        journal=journal,
        skip=config.on_bad_image == "skip",
    )
    run = Trainer(config, len(images.classes), device)
    start, losses = run.resume(folder / STATE, journal)
    per_epoch = len(images) // config.batch
    total = per_epoch * config.epochs
    journal.rewind(pretrain=start, monitor=start // per_epoch)
    if announce_time:
        seconds = measure(run)[0] * config.batch / distributed.world() * (total - start)
        journal.say(f"estimated time: {duration(seconds)} ({total - start:,} steps of {config.batch} images, a few timed now)")
    provenance = config.provenance(data=data, fingerprint=images.fingerprint(), labels=labelling.labelled_fraction(labels))
    keeper = _Keeper(run, folder, journal, provenance, monitor, per_epoch)
    if keeper.writes:
        classes.save(folder, images)
        labelling.save(folder, images, labels)
    skipped = Skipped(len(images)) if config.on_bad_image == "skip" else None
    ledger = None if skipped is None else Ledger(folder, images.names, skipped)
    began = time.monotonic()
    losses = _steps(run, batches_of(run, kept, labels, start, ledger), keeper, start, losses)
    if keeper.writes:
        save_backbone(folder / BACKBONE, run.template.backbone(), provenance, projector=run.template.projector())
    distributed.barrier()
    speed = (total - start) * config.batch / (time.monotonic() - began) if start < total else None
    replaced = tuple(ledger.names()) if ledger else ()
    if replaced:
        journal.say(note(replaced, len(images)))
    return Trained(folder / BACKBONE, provenance, sum(losses) / len(losses), speed, replaced)


def _steps(run: Trainer, batches: Iterable[Batch], keeper: "_Keeper", start: int, losses: list[float]) -> list[float]:
    """All steps from `start` on; takes the losses noted before in its epoch, returns those noted in the last one."""
    config, journal, total, began = run.config, keeper.journal, keeper.total, time.monotonic()
    for step, (views, labels, _) in enumerate(batches, start):
        epoch, within = divmod(step, keeper.per_epoch)
        losses = losses if within else []
        loss, accuracy = run.step(step, epoch, views, labels)
        rate = (step + 1 - start) * config.batch / (time.monotonic() - began)
        if step % LOG_EVERY == 0 or step + 1 == total:
            losses.append(loss)
            journal.step("pretrain", step + 1, total, loss=loss, accuracy=accuracy, lr=run.lr, images_per_second=rate)
        else:
            journal.step("pretrain", step + 1, total)
        stop = distributed.agreed_stop()
        keeper.step_done(step + 1, losses, asked=stop is not None)
        if stop is not None:
            distributed.barrier()  # a launcher ends all processes once one has ended
            raise interrupt.Interrupted(stop, f"step {step + 1:,} of {total:,}")
    return losses


def batches_of(
    run: Trainer, images: Images, labels: Sequence[int], start: int = 0, ledger: Ledger | None = None
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
    """What is kept on the way: checkpoints, backbones, what the monitor says. Only the first process writes."""

    def __init__(
        self, run: Trainer, folder: Path, journal: Journal, provenance: Provenance, monitor: Monitor | None, per_epoch: int
    ) -> None:
        self.run, self.folder, self.journal, self.provenance, self.monitor = run, folder, journal, provenance, monitor
        self.writes = distributed.rank() == 0
        self.per_epoch, self.total = per_epoch, per_epoch * run.config.epochs
        self._saved = time.monotonic()

    def step_done(self, steps: int, losses: Sequence[float], *, asked: bool) -> None:
        """After `steps` of all steps; `losses` are those noted in this epoch, `asked` whether the run is to stop here."""
        if not self.writes:
            return
        config = self.run.config
        epochs, within = divmod(steps, self.per_epoch)
        if not within:
            self._epoch_done(epochs)
        due = not within and (_due(epochs, config.save_every) or steps == self.total)
        if due or asked or time.monotonic() - self._saved >= config.checkpoint_seconds:
            self.run.save(self.folder / STATE, steps, losses)
            self._saved = time.monotonic()

    def _epoch_done(self, epochs: int) -> None:
        config = self.run.config
        if _due(epochs, config.keep_every):
            provenance = self.provenance.replace({"epochs": epochs})
            template, path = self.run.template, self.folder / f"backbone-{epochs:04d}.pth"
            save_backbone(path, template.backbone(), provenance, projector=template.projector())
        last = config.monitor_every > 0 and epochs == config.epochs
        if self.monitor is not None and (_due(epochs, config.monitor_every) or last):
            values = self.monitor(self.run.template.backbone())
            self.journal.step("monitor", epochs, config.epochs, **values)


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
    return labelling.assign_labels(images, config.labels_used, names, config.seed)
