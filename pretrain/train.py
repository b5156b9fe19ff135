"""The loop. Nothing in it knows a method's or an augmentation's name."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pretrain import describe, diverged
from pretrain.checkpoint import save_backbone
from pretrain.collapse import CollapseWatch
from pretrain.config import PretrainConfig
from pretrain.core import distributed, interrupt
from pretrain.core.errors import DataError
from pretrain.core.journal import LOG_EVERY, Journal, duration
from pretrain.core.workers import count
from pretrain.feed import Feed
from pretrain.images import cache, classes
from pretrain.images import labels as labelling
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Batch, Crops, Epochs, Images, loader
from pretrain.images.skipping import Ledger, Skipped, note
from pretrain.images.training_set import TrainingSet
from pretrain.inputs import crops
from pretrain.plan import Pace, few, loading, measure
from pretrain.provenance import Drawn, Provenance
from pretrain.trainer import STATE, Trainer

BACKBONE = "backbone.pth"
STAGE = "pretrain"
"""What the log calls the steps."""

Monitor = Callable[[dict[str, Tensor]], dict[str, float]]
"""Called by every process with a backbone's tensors, by its architecture's names; returns numbers for the log, which the first
process keeps."""


@dataclass(frozen=True)
class Trained:
    """What a pre-training leaves."""

    backbone: Path
    provenance: Provenance
    loss: float
    """Mean over the logged steps of the last epoch."""
    images_per_second: float | None
    """Training images per second in the steps done now; None where an earlier command had done them all."""
    skipped: tuple[str, ...] = ()
    """Images that can't be read and were replaced."""
    collapsed: str = ""
    """What is to say of projections that collapsed; empty where they didn't."""
    went_on: str = ""
    """What is to say of a run that began as one that stops at unreadable images; empty where it didn't."""
    diverged: str = ""
    """What is to say of features out of all proportion; empty where they aren't."""


def training_set(config: PretrainConfig, images: ImageSet, drawn: Drawn | None = None) -> TrainingSet:
    """Choose the labels that a run uses; refuses images that it can't train on.

    Args:
        config: The run.
        images: Its images.
        drawn: What their classes were drawn from; None where they weren't.

    Raises:
        DataError: If there are fewer images than a batch, or the labels asked for are not there.
    """
    batch = config.recipe.batch
    if len(images) < batch:
        seen = f"{len(images)} images, batch {batch}"
        fix = f"lower it: --set batch=N, N at most {len(images)}"
        raise DataError(f"fewer images than a batch in {images.root}", seen=seen, fix=fix)
    names = None if config.label_list is None else config.label_list.lines()
    return TrainingSet.of(images, fraction=config.labels_used, names=names, seed=config.seed, drawn=drawn)


def train(
    config: PretrainConfig,
    data: TrainingSet,
    folder: Path,
    journal: Journal,
    *,
    name: str,
    device: str = "cpu",
    announce_time: bool = False,
    monitor: Monitor | None = None,
) -> Trained:
    """Pre-train a backbone, from the folder's last checkpoint if there is one.

    In a process group every process calls this; the first one writes.

    Args:
        config: The run.
        data: Training images with the labels that are used.
        folder: Where checkpoints go; exists.
        journal: Logs every step.
        name: Name of the images, for the provenance.
        device: `cpu` or `cuda`.
        announce_time: Time a few images first and log how long the run will take.
        monitor: Measures the backbone every `monitor_every` epochs.

    Raises:
        TrainingError: If the loss is not finite, or what the last step left; the last good checkpoint stays.
        Interrupted: If a signal asked for a stop, once the step is done and saved.
    """
    images = data.images
    opened = open_images(config, images, journal, device)
    trainer = Trainer(config, len(images), len(images.classes), device)
    start, losses = trainer.resume(folder / STATE, journal)
    journal.rewind(**{STAGE: start}, monitor=start // trainer.per_epoch)
    if announce_time:
        _announce(trainer, opened, data.labels, start, journal)
    keeper = _Keeper(trainer, folder, journal, _provenance(config, data, name), monitor)
    skipped = Skipped(len(images)) if config.on_bad_image == "skip" else None
    ledger = None if skipped is None else Ledger(folder, images.names, skipped)
    keeper.begin(data)
    began = time.monotonic()
    losses = _steps(trainer, batches_of(trainer, opened, data.labels, start, ledger), keeper, start, losses)
    exploded = _looked_at(trainer, opened, crops(config, opened, data.labels, skipped), journal)
    keeper.finished()
    done = (trainer.steps - start) * config.recipe.batch
    speed = done / (time.monotonic() - began) if done else None
    if replaced := tuple(ledger.names()) if ledger else ():
        journal.say(note(replaced, len(images)))
    loss, said = sum(losses) / len(losses), (keeper.watch.note, trainer.went_on, exploded)
    return Trained(folder / BACKBONE, keeper.provenance, loss, speed, replaced, *said)


def open_images(config: PretrainConfig, images: ImageSet, journal: Journal, device: str) -> Images:
    """Open the images as a run crops them: the files, or decoded ones kept in memory or on disk."""
    return cache.open_images(
        images,
        config.cache,
        side=config.kept_side,
        reduced=config.reduced_decode,
        num_workers=count(config.num_workers, device),
        journal=journal,
        skip=config.on_bad_image == "skip",
    )


def _provenance(config: PretrainConfig, data: TrainingSet, name: str) -> Provenance:
    return describe.provenance(
        config,
        data=name,
        fingerprint=data.fingerprint,
        labelled=data.labelled,
        processes=distributed.world(),
        drawn=data.drawn,
    )


def _announce(trainer: Trainer, images: Images, labels: Sequence[int], start: int, journal: Journal) -> None:
    """Log how long the run will take, from a few images timed now, and what it waits for."""
    left, batch, world = trainer.steps - start, trainer.recipe.batch, distributed.world()
    config, device = trainer.config, trainer.device
    pace = Pace.of(config, device, step=measure(trainer, world)[0], load=loading(config, images, labels, device))
    seconds = pace.seconds * batch / world * left
    journal.say(f"estimated time: {duration(seconds)} ({left:,} steps of {batch} images, a few timed now; {pace.bound()})")


def _looked_at(trainer: Trainer, images: Images, drawn: Crops, journal: Journal) -> str:
    """Refuse a backbone that is no backbone, before it is written; returns, and logs, what is to say of another one."""
    config, state = trainer.config, trainer.learner.export().backbone
    said = diverged.looked_at(config, state, drawn, few(config, images), trainer.device)
    if said:
        journal.say(said)
    return said


def _steps(trainer: Trainer, batches: Iterable[Batch], keeper: "_Keeper", start: int, losses: list[float]) -> list[float]:
    """Do all steps from `start` on; takes the losses logged before in its epoch, returns those logged in the last one."""
    journal, total, began, done = keeper.journal, trainer.steps, time.monotonic(), start
    feed = Feed(trainer, batches, start, journal)

    def save() -> str:
        keeper.save(done, losses)
        return f"step {done:,} of {total:,}"

    with interrupt.saving(save):
        for step, (views, labels, made) in enumerate(feed, start):
            losses = losses if step % trainer.per_epoch else []
            loss, diagnostics = trainer.step(step, views, labels, made)
            done = step + 1
            rate = (done - start) * trainer.recipe.batch / (time.monotonic() - began)
            logs = step % LOG_EVERY == 0 or done == total
            if logs or not done % trainer.per_epoch:
                trainer.settle()
            if logs and trainer.broken is None:
                losses.append(float(loss))
                values = {name: float(value) for name, value in diagnostics.items()} | feed.waited()
                journal.step(STAGE, done, total, loss=losses[-1], **values, lr=trainer.lr, images_per_second=rate)
                keeper.watch.see(done, values)
            else:
                journal.step(STAGE, done, total)
            stop = distributed.agreed_stop(trainer.broken)
            if stop is not None:  # every process looks at its own losses before the first one saves what came of all
                trainer.settle()
                distributed.agreed_stop(trainer.broken)
            keeper.step_done(done, losses, asked=stop is not None)
            if stop is not None:
                distributed.barrier()  # a launcher ends all processes once one has ended
                raise interrupt.Interrupted(stop, f"step {done:,} of {total:,}")
    return losses


def batches_of(
    trainer: Trainer, images: Images, labels: Sequence[int], start: int = 0, ledger: Ledger | None = None
) -> Iterator[Batch]:
    """Yield this process's part of each batch from step `start` on. Replaced images are in the ledger before their batch."""
    config, world = trainer.config, distributed.world()
    batch, epochs = trainer.recipe.batch, trainer.recipe.epochs
    distributed.divided(batch, world, config.bn_splits)
    part = (distributed.rank(), world)
    batches = Epochs(len(images), batch=batch, epochs=epochs, seed=config.seed, start=start, part=part)
    drawn = crops(config, images, labels, ledger.skipped if ledger else None, encoded=config.decode == "gpu")
    workers, pinned = count(config.num_workers, trainer.device), trainer.device.startswith("cuda")
    for batch_of_crops in loader(drawn, batches, num_workers=workers, pinned=pinned):
        if ledger is not None:
            ledger.update()
        yield batch_of_crops


class _Keeper:
    """Keeps what a run leaves on its way: checkpoints, backbones, the monitor's values. Only the first process writes."""

    def __init__(
        self, trainer: Trainer, folder: Path, journal: Journal, provenance: Provenance, monitor: Monitor | None
    ) -> None:
        self.trainer, self.folder, self.journal, self.provenance, self.monitor = trainer, folder, journal, provenance, monitor
        self.writes = distributed.rank() == 0
        self.watch = CollapseWatch(journal, STAGE)
        self._saved = time.monotonic()

    def begin(self, data: TrainingSet) -> None:
        """List the classes and the labels in use."""
        if self.writes:
            classes.save(self.folder, data.images)
            labelling.save(self.folder, data.images, data.labels)

    def step_done(self, steps: int, losses: Sequence[float], *, asked: bool) -> None:
        """Save what is due after `steps` of all steps.

        Args:
            steps: Steps done.
            losses: Those logged in this epoch.
            asked: Whether the run is to stop here.
        """
        config = self.trainer.config
        epochs, within = divmod(steps, self.trainer.per_epoch)
        if not within:
            self._epoch_done(epochs)
        due = not within and (_due(epochs, config.save_every) or steps == self.trainer.steps)
        late = time.monotonic() - self._saved >= config.checkpoint_seconds
        if due or asked or (late and self.trainer.settled):
            self.save(steps, losses)

    def save(self, steps: int, losses: Sequence[float]) -> None:
        """Save the state after `steps` of all steps, with the losses logged in this epoch."""
        if self.writes:
            self.trainer.save(self.folder / STATE, steps, losses)
            self._saved = time.monotonic()

    def finished(self) -> None:
        """Write the backbone; returns in every process once it is there."""
        if self.writes:
            self._save(BACKBONE, self.provenance)
        distributed.barrier()

    def _epoch_done(self, epochs: int) -> None:
        config = self.trainer.config
        if self.writes and _due(epochs, config.keep_every):
            self._save(f"backbone-{epochs:04d}.pth", self.provenance.after(epochs))
        last = config.monitor_every > 0 and epochs == config.recipe.epochs
        if self.monitor is not None and (_due(epochs, config.monitor_every) or last):
            values = self.monitor(self.trainer.learner.export().backbone)
            self.journal.step("monitor", epochs, config.recipe.epochs, **values)

    def _save(self, name: str, provenance: Provenance) -> None:
        left = self.trainer.learner.export()
        save_backbone(self.folder / name, left.backbone, provenance, projector=left.projector)


def _due(epochs: int, every: int) -> bool:
    return every > 0 and epochs % every == 0
