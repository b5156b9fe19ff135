"""Linear evaluation: classifiers trained on frozen features, chosen, and resumed where the run was broken.

Shapes: N images, D features.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pretrain.core import distributed, interrupt
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import LOG_EVERY
from pretrain.images import labels
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Epochs
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines import state
from transfer.engines.driver import Resumed
from transfer.engines.job import Job
from transfer.engines.probe.classifiers import Classifiers, top
from transfer.engines.probe.frozen import augmented, cached, features
from transfer.tasks.linear import CachedSettings, HeadSettings

STATE = "last.pth"
"""The file of the classifiers' state."""
Labelled = tuple[Tensor, Tensor]
"""Features (N, D) and labels (N,)."""


def prepare(job: Job, model: nn.Module) -> "Training":
    """Read the features to evaluate on, and make the classifiers.

    Which classifier is reported, and at which epoch, is judged on held-out training images where several learning rates were
    tried. Where there is one, it is the last epoch, or the best on the validation images where that is the published protocol.

    Raises:
        ConfigError: If there are more processes than images in a step.
        DataError: If a class has too few images to hold some out.
        Interrupted: If asked to stop, after what has been read was saved.
    """
    settings, data = job.settings, job.data
    assert isinstance(settings, HeadSettings)
    assert isinstance(data, ClassificationData)
    if min(settings.batch, len(data.train)) < distributed.world():
        raise ConfigError("more processes than images in a step", seen=f"{distributed.world()} and {settings.batch}")
    images, held_images = held_out(data.train, settings, job.seed) if settings.lr_search else (data.train, None)
    val = features(job, model, data.val, "val")
    held = features(job, model, held_images, "held-out") if held_images else val
    classifiers = Classifiers(val[0].shape[1], data.ref.classes, settings, job.seed)
    return Training(job, settings, classifiers, images, held, val)


def held_out(images: ImageSet, settings: HeadSettings, seed: int) -> tuple[ImageSet, ImageSet]:
    """Split the training images: those to train on, and the seeded fraction of each class that is held out.

    Raises:
        DataError: If a class would have no image in one of the two.
    """
    chosen = labels.balanced(images.labels, settings.held_out, seed)
    kept, held = ([i for i, label in enumerate(chosen) if (label != labels.UNLABELLED) == out] for out in (False, True))
    parts = images.part(kept), images.part(held)
    if any(len(set(part.labels)) < len(set(images.labels)) for part in parts):
        raise DataError(
            "a class has too few training images to choose a learning rate on some of them",
            seen=f"{len(held)} of {len(images)} images held out, {settings.held_out:g} of each class",
            fix="change the fraction (--set held_out=...), or leave --lr-search away",
        )
    return parts


@dataclass
class Best:
    """The classifier to report so far, at its epoch."""

    accuracy: float
    """Top-1 in percent, on the images it was chosen on if there was a choice."""
    epoch: int
    """Passes over the training images; 0: untrained."""
    head: int
    """Which of the classifiers it is."""
    metrics: dict[str, float | None]
    """Accuracies on the validation images, in percent."""


class Training:
    """The training of a job: classifiers, optimiser, and the classifier to report so far."""

    def __init__(
        self, job: Job, settings: HeadSettings, classifiers: Classifiers, images: ImageSet, held: Labelled, val: Labelled
    ) -> None:
        self.job, self.settings, self.images, self.held, self.val = job, settings, images, held, val
        self.classifiers = classifiers.to(job.device).train()
        self.optimizer = classifiers.optimizer()
        self.best = Best(-1.0, 0, 0, {})
        batch = min(settings.batch, len(images))
        self.divided = not isinstance(settings, CachedSettings)
        part = (distributed.rank(), distributed.world()) if self.divided else (0, 1)
        self.batches = Epochs(len(images), batch=batch, epochs=settings.epochs, seed=job.seed, part=part)
        self.total = len(self.batches)

    def resume(self) -> Resumed:
        """Load the state, if there is one.

        Raises:
            CheckpointError: If it is broken or of another run.
        """
        content = state.load(self.job.folder / STATE, self.job.identity, {"step", "heads", "optimizer", "best"})
        done = 0 if content is None else int(content["step"])
        if content is not None:
            self.classifiers.load_state_dict(content["heads"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.best = Best(**content["best"])
        self.batches.start = done
        judged = done * self.settings.epochs // self.total if done else -1  # epoch 0 is that before the first
        return Resumed(done, self.total, "step", {"linear": done, "held-out": judged})

    def train(self, model: nn.Module) -> None:
        """Train on the features of `model`; where an epoch is chosen, the untrained classifiers are judged, too.

        Raises:
            TrainingError: If no loss is finite any more.
            Interrupted: If asked to stop, after the state was saved.
        """
        if distributed.rank() and not self.divided:
            features(self.job, model, self.images, "train")  # their part of it is all that others have to do
            return
        start = self.batches.start
        if not start:
            self._judge(0)
        stream = cached if isinstance(self.settings, CachedSettings) else augmented
        done = start

        def save() -> str:
            self._save(done)
            return f"step {done:,} of {self.total:,}"

        with interrupt.saving(save):
            for step, batch in enumerate(stream(self.job, model, self.images, self.batches), start + 1):
                self._step(*batch, step)
                done = step

    def _step(self, found: Tensor, truth: Tensor, step: int) -> None:
        """Do the step of that number, from 1, on features (N, D); judge and save when it ends an epoch."""
        per_epoch = self.total // self.settings.epochs
        self.classifiers.step(self.optimizer, found, truth, (step - 1) // per_epoch)
        epoch, rest = divmod(step, per_epoch)
        logs = (step - 1) % LOG_EVERY == 0 or step == self.total
        values = self._losses() if logs or not rest else {}
        self.job.journal.step("linear", step, self.total, **(values if logs else {}))
        if not rest:
            self._judge(epoch)
        by = self._asked() if step < self.total else None
        if by or (not rest and epoch % self.settings.save_every == 0):
            self._save(step)
        if by:
            raise interrupt.Interrupted(by, f"step {step:,} of {self.total:,}")

    def _losses(self) -> dict[str, float]:
        """Look at the losses of all steps since the last look; returns the last step's."""
        names = [f"loss_{rate:g}" for rate in self.classifiers.rates] if self.settings.lr_search else ["loss"]
        return dict(zip(names, self.classifiers.settle(), strict=True))

    def _asked(self) -> signal.Signals | None:
        """Return the signal that asked for a stop: all processes together, where all are at work."""
        return distributed.agreed_stop() if self.divided else interrupt.asked()

    def _judge(self, epoch: int) -> None:
        """Keep the best classifier: of equal ones that of the earliest epoch, and of the smallest learning rate.

        Where no epoch is chosen, that of the last one is kept.
        """
        chooses = self.settings.BEST_EPOCH or self.settings.lr_search
        if distributed.rank():  # the first process reports
            return
        if not chooses and epoch < self.settings.epochs:
            return
        held, truth = (part.to(self.job.device) for part in self.held)
        rates = self.classifiers.rates
        found = [top(self.classifiers.scores(which, held), truth, 1) or 0.0 for which in range(len(rates))]
        if self.settings.lr_search:
            named = {f"top1_{rate:g}": accuracy for rate, accuracy in zip(rates, found, strict=True)}
            self.job.journal.step("held-out", epoch, self.settings.epochs, **named)
        if max(found) > self.best.accuracy:
            which = found.index(max(found))
            val, truth = (part.to(self.job.device) for part in self.val)
            scores = self.classifiers.scores(which, val)
            self.best = Best(max(found), epoch, which, {f"top{k}": top(scores, truth, k) for k in (1, 5)})

    def _save(self, step: int) -> None:
        """Save everything that is needed to resume after `step` steps; the first process does.

        Raises:
            TrainingError: If no loss of a step was finite; then nothing is saved.
        """
        self.classifiers.settle()
        if distributed.rank():
            return
        heads, optimizer = self.classifiers.state_dict(), self.optimizer.state_dict()
        content: dict[str, Any] = {"step": step, "heads": heads, "optimizer": optimizer, "best": vars(self.best)}
        state.save(self.job.folder / STATE, self.job.identity, content)

    def chosen(self) -> Mapping[str, float]:
        """Return the learning rate that a search chose."""
        return {"chosen_lr": self.classifiers.rates[self.best.head]} if self.settings.lr_search else {}

    def notes(self) -> tuple[str, ...]:
        """Say of a search what was chosen, and on what."""
        if not self.settings.lr_search:
            return ()
        rates, rate = self.classifiers.rates, self.classifiers.rates[self.best.head]
        tried = f"the best of {len(rates)} from {min(rates):g} to {max(rates):g}"
        chosen = f"chosen on {len(self.held[1])} training images that were held out (top1 {self.best.accuracy:.2f} on them)"
        note = f"learning rate {rate:g}, {tried}, and epoch {self.best.epoch}: {chosen}"
        edge = "; it is the end of what was tried" if rate in (min(rates), max(rates)) and len(rates) > 1 else ""
        return (note + edge,)
