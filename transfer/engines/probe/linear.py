"""Linear evaluation: classifiers trained on frozen features, chosen, and taken up again where the run was broken.

Shapes: N images, D features.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pretrain.core import interrupt
from pretrain.core.errors import DataError
from pretrain.images import labels
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Epochs
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines import Job, Outcome, state
from transfer.engines.probe.frozen import augmented, cached, features
from transfer.engines.probe.heads import Heads, top
from transfer.tasks.probe import CachedSettings, HeadSettings

STATE = "last.pth"
Labelled = tuple[Tensor, Tensor]
"""Features (N, D) and labels (N,)."""


def fit(job: Job, model: nn.Module, proof: dict[str, float]) -> Outcome:
    """Train classifiers on the features of `model`, and report the best one at its best epoch.

    Which and when is judged on the validation images where there is one learning rate, as published; on held-out training
    images where several were tried. Goes on from what the run's folder holds.

    Raises:
        DataError: If a class has too few images to hold some out.
        CheckpointError: If the folder holds a broken state, or one of another run.
        Interrupted: If asked to stop, after the state was saved.
    """
    settings, data = job.settings, job.data
    assert isinstance(settings, HeadSettings)
    assert isinstance(data, ClassificationData)
    images, held_images = held_out(data.train, settings, job.seed) if settings.lr_search else (data.train, None)
    val = features(job, model, data.val, "val")
    held = features(job, model, held_images, "held-out") if held_images else val
    training = _Training(job, settings, Heads(val[0].shape[1], data.ref.classes, settings, job.seed), held, val)
    batches = Epochs(len(images), batch=min(settings.batch, len(images)), epochs=settings.epochs, seed=job.seed)
    total = len(batches)
    batches.start = training.resume(total)
    stream = (cached if isinstance(settings, CachedSettings) else augmented)(job, model, images, batches)
    for step, (found, truth) in enumerate(stream, batches.start + 1):
        training.step(found, truth, step, total)
    return training.outcome(proof)


def held_out(images: ImageSet, settings: HeadSettings, seed: int) -> tuple[ImageSet, ImageSet]:
    """The training images without, and only, the seeded share of each class that is held out.

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
            fix="change the share (--set held_out=...), or leave --lr-search away",
        )
    return parts


@dataclass
class _Best:
    """The best classifier so far, at its best epoch."""

    accuracy: float
    """Top-1 on the images it was chosen on, in percent."""
    epoch: int
    """Passes over the training images; 0: untrained."""
    head: int
    metrics: dict[str, float | None]


class _Training:
    """The moving parts: classifiers, optimiser, and the best so far."""

    def __init__(self, job: Job, settings: HeadSettings, heads: Heads, held: Labelled, val: Labelled) -> None:
        self.job, self.settings, self.held, self.val = job, settings, held, val
        self.heads = heads.to(job.device).train()
        self.optimizer = heads.optimizer()
        self.best = _Best(-1.0, 0, 0, {})

    def resume(self, total: int) -> int:
        """Steps already done, of `total`; the epoch before the first is judged, too."""
        content = state.load(self.job.folder / STATE, self.job.identity, {"step", "heads", "optimizer", "best"})
        done = 0 if content is None else int(content["step"])
        judged = done * self.settings.epochs // total if done else -1  # epoch 0 is that before the first
        self.job.journal.rewind(**{"linear": done, "held-out": judged})
        if content is None:
            self.judge(0)
            return 0
        self.heads.load_state_dict(content["heads"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.best = _Best(**content["best"])
        self.job.journal.say(f"going on after step {done} of {total}")
        return done

    def step(self, found: Tensor, truth: Tensor, step: int, total: int) -> None:
        """The step of that number, from 1, on features (N, D); judged and saved when it ends an epoch."""
        per_epoch = total // self.settings.epochs
        losses = self.heads.step(self.optimizer, found, truth, (step - 1) // per_epoch)
        names = [f"loss_{rate:g}" for rate in self.heads.rates] if self.settings.lr_search else ["loss"]
        self.job.journal.step("linear", step, total, **dict(zip(names, losses, strict=True)))
        epoch, rest = divmod(step, per_epoch)
        if not rest:
            self.judge(epoch)
        by = interrupt.asked() if step < total else None
        if by or (not rest and epoch % self.settings.save_every == 0):
            self.save(step)
        if by:
            raise interrupt.Interrupted(by, f"step {step:,} of {total:,}")

    def judge(self, epoch: int) -> None:
        """Keep the best: of equal ones the earliest, and the smallest learning rate."""
        features, truth = self.held
        found = [top(self.heads.scores(head, features), truth, 1) or 0.0 for head in range(len(self.heads.rates))]
        if self.settings.lr_search:
            named = {f"top1_{rate:g}": accuracy for rate, accuracy in zip(self.heads.rates, found, strict=True)}
            self.job.journal.step("held-out", epoch, self.settings.epochs, **named)
        if max(found) > self.best.accuracy:
            head = found.index(max(found))
            scores = self.heads.scores(head, self.val[0])
            self.best = _Best(max(found), epoch, head, {f"top{k}": top(scores, self.val[1], k) for k in (1, 5)})

    def save(self, step: int) -> None:
        """Everything needed to go on after `step` steps."""
        content: dict[str, Any] = {"step": step, "heads": self.heads.state_dict(), "optimizer": self.optimizer.state_dict()}
        state.save(self.job.folder / STATE, self.job.identity, {**content, "best": vars(self.best)})

    def outcome(self, proof: dict[str, float]) -> Outcome:
        """The best one's metrics; of a search, what was chosen and on what."""
        if not self.settings.lr_search:
            return Outcome(self.best.metrics, proof)
        rates, rate = self.heads.rates, self.heads.rates[self.best.head]
        tried = f"the best of {len(rates)} from {min(rates):g} to {max(rates):g}"
        chosen = f"chosen on {len(self.held[1])} training images that were held out (top1 {self.best.accuracy:.2f} on them)"
        note = f"learning rate {rate:g}, {tried}, and epoch {self.best.epoch}: {chosen}"
        edge = "; it is the end of what was tried" if rate in (min(rates), max(rates)) and len(rates) > 1 else ""
        return Outcome(self.best.metrics, {**proof, "chosen_lr": rate}, (note + edge,))
