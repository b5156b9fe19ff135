"""The moving parts of one pre-training: learner, optimiser, augmentation, and how a step changes them.

Every random draw depends on the seed and on the position (epoch, image, step) alone, never on what was drawn before,
so that a run cut anywhere resumes as if it had not been.
"""

import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.augment import asked
from pretrain.augment.guide import Guide
from pretrain.backbones.convolution import as_products
from pretrain.batch import Batch, Progress
from pretrain.checkpoint import read_state, save_atomically
from pretrain.config import PretrainConfig
from pretrain.core import devices, distributed
from pretrain.core.errors import ConfigError, TrainingError
from pretrain.core.journal import Journal
from pretrain.diverged import REMEDY
from pretrain.guides import guides
from pretrain.images.encoded import on_device, require_decoder
from pretrain.inputs import LEARNER, Inputs, generator, step_seed
from pretrain.learner import Learner, Losses
from pretrain.parts.branch import Branch

STATE = "last.pth"
FORMAT = "bench-training/2"
"""Of `last.pth`; raised with its layout."""
SAVED = ("format", "step", "losses", "processes", "config", "learner", "optimizer")
"""Keys of `last.pth`."""


class Trainer:
    """One process's part of a run."""

    def __init__(self, config: PretrainConfig, images: int, classes: int, device: str) -> None:
        """Draw the learner's tensors with the run's seed and put it on the device.

        Args:
            config: The run.
            images: Training images.
            classes: Their classes.
            device: `cpu`, `cuda` or `cuda:N`.
        """
        if config.decode == "gpu":
            require_decoder(device)
        self.config, self.recipe, self.device = config, config.recipe, device
        self.per_epoch = images // self.recipe.batch
        self.steps = self.per_epoch * self.recipe.epochs
        with torch.random.fork_rng(devices=[]):  # learners are drawn on the CPU: no GPU's generator is touched
            torch.default_generator.manual_seed(config.seed)
            self.learner = config.method.learner(config.shape(classes))
        if config.sync_bn:
            self.learner = _synchronised(self.learner, device)
        self.learner.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        devices.of_one_size(device)
        if device == "cpu":
            as_products(self.learner)
        if config.compile:
            _compile(self.learner)
        self.network: nn.Module = _parallel(self.learner) if distributed.world() > 1 else self.learner
        self.optimizer = self.recipe.build_optimizer(self.learner.trained())
        self.inputs = Inputs.of(config, device)
        self.asked = asked(config.aug)
        self.broken: TrainingError | None = None
        self._unread: list[tuple[Progress, Losses, float]] = []
        self.lr = self.recipe.lr
        self.went_on = ""
        """What is to say of a run that began with another setting; empty where it didn't."""

    def progress(self, step: int) -> Progress:
        """Say how far the run is before a step."""
        return Progress(step, self.steps, step // self.per_epoch, self.recipe.epochs)

    def step(
        self, step: int, crops: Sequence[Tensor], labels: Tensor, made: Batch | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Do one optimiser step on V crops (n, 3, S, S) uint8; returns this process's loss and its diagnostics, on the device.

        Args:
            step: Its number, from 0.
            crops: The crops, on the CPU.
            labels: (n,), on the CPU.
            made: What `views` made of them, where that is done.

        Raises:
            TrainingError: On the CPU, if the loss is not finite, before anything has moved; elsewhere `settle` looks.
        """
        progress = self.progress(step)
        self._schedule(progress)
        moves = not self.learner.fills(step)
        self.learner.before_forward(progress)
        batch = made or self.views(step, crops, labels)
        self._seed(progress)
        with torch.set_grad_enabled(moves):
            losses: Losses = self.network(batch)
            total = losses.total
        if moves:
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
        terms = {name: term.detach() for name, term in losses.terms.items()}
        self._unread.append((progress, Losses(terms), self.lr))
        if self.device == "cpu":
            self.settle()
        if moves:
            self.learner.after_backward(progress)
            self.optimizer.step()
        self.learner.after_step(batch, losses)
        return total.detach(), dict(losses.diagnostics)

    @property
    def settled(self) -> bool:
        """Whether the losses of all steps were looked at, in every process: all look after the same steps."""
        return not self._unread

    def settle(self) -> None:
        """Look at the losses of all steps since the last look, for which a GPU is waited for; nothing is saved before.

        Raises:
            TrainingError: If a loss is not finite. One of several processes leaves the error in `broken` and goes on with the
                step, in which the others wait for it: they stop where they compare signals.
        """
        unread, self._unread = self._unread, []
        totals: list[float] = torch.stack([losses.total for _, losses, _ in unread]).tolist() if unread else []
        for (progress, losses, lr), total in zip(unread, totals, strict=True):
            if not math.isfinite(total):
                self.broken = self._not_finite(losses, progress, lr)
                if distributed.world() == 1:
                    raise self.broken
                return

    def views(self, step: int, crops: Sequence[Tensor], labels: Tensor) -> Batch:
        """Make the views of a step from its crops and labels on the CPU; the device is not waited for."""
        return self.batch(on_device(crops, self.device), labels.to(self.device, non_blocking=True), self.progress(step))

    def batch(self, crops: Sequence[Tensor], labels: Tensor, progress: Progress, *, learner: Learner | None = None) -> Batch:
        """Make the views of a step from its crops; an augmentation that asks the network asks the learner, or another one."""
        seed, step = self.config.seed, progress.step
        rng = generator(seed, step, rank=distributed.rank())
        alike = generator(seed, step)  # all processes must draw the same order
        order = torch.randperm(len(labels) * distributed.world(), generator=alike)
        plain = Batch((), (), labels, order, progress, both=self.inputs.both)
        if not self.asked:
            views, clean, labels = self.inputs(crops, labels, rng)
            return replace(plain, views=views, clean=clean, labels=labels)
        found: list[Losses | None] = []

        def ask(clean: tuple[Tensor, ...]) -> Sequence[Guide | None]:
            answers, losses = self._answers(learner or self.learner, replace(plain, clean=clean))
            found.append(losses)
            return answers

        views, clean, labels = self.inputs(crops, labels, rng, ask)
        return replace(plain, views=views, clean=clean, labels=labels, before=found[0])

    def _answers(self, learner: Learner, batch: Batch) -> tuple[list[Guide | None], Losses | None]:
        """Ask the network about the views before the augmentation.

        Its pass is the step's own where that has such a pass too: not where keys are blends, nor where the compiler, whose
        backward passes can't be made twice, made the network.
        """
        shared = learner.trains_on_clean() and not self.inputs.both and not self.config.compile
        self._seed(batch.progress)
        return guides(learner, batch, self.asked, shared=shared)

    def _seed(self, progress: Progress) -> None:
        """Seed what a learner draws: dropped paths, coins."""
        torch.manual_seed(step_seed(self.config.seed, progress.step, distributed.rank(), stream=LEARNER))

    def _schedule(self, progress: Progress) -> None:
        now = {"step": progress.step, "steps": progress.steps, "epoch": progress.epoch, "epochs": progress.epochs}
        self.lr = self.recipe.schedule_optimizer(self.optimizer, **now)

    def save(self, path: Path, step: int, losses: Sequence[float]) -> None:
        """Save everything needed to resume after `step` steps; `losses` are those logged in the last step's epoch.

        Raises:
            TrainingError: If a loss was not finite; then nothing is saved.
        """
        self.settle()
        if self.broken is not None:
            raise self.broken
        state: dict[str, Any] = {
            "format": FORMAT,
            "step": step,
            "losses": list(losses),
            "processes": distributed.world(),
            "config": self.config.model_dump(mode="json"),
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_atomically(state, path)

    def resume(self, path: Path, journal: Journal) -> tuple[int, list[float]]:
        """Load a checkpoint if there is one; returns the number of steps already done, and the losses saved with it.

        Raises:
            ConfigError: If what changes the numbers differs from that run's.
            CheckpointError: If the file is broken, or of another version's layout.
        """
        if not path.is_file():
            return 0, []
        state = read_state(path, SAVED, self.device, layout=FORMAT)
        saved = PretrainConfig.read(state["config"], where=str(path))
        different = saved.differences(self.config)
        if different and saved.replace({"on_bad_image": "skip"}).differences(self.config):  # what was done needed no skipping
            raise ConfigError(
                f"{path} is of another run", seen=f"it has {different}", allowed="the same settings", fix="use another --out"
            )
        if state["processes"] != distributed.world():  # each draws its own augmentations and normalises its own part
            seen, allowed = f"{distributed.world()} processes now", f"{state['processes']}, as before"
            raise ConfigError(f"{path} is of another number of processes", seen=seen, allowed=allowed, fix="set --devices")
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        journal.say(f"resuming after step {state['step']} from {path}")
        if different:
            self.went_on = f"the first {state['step']} steps were done with on_bad_image stop, and met no unreadable image"
            journal.say(self.went_on)
        return int(state["step"]), state["losses"]

    def _not_finite(self, losses: Losses, progress: Progress, lr: float) -> TrainingError:
        terms = ", ".join(f"{name} {float(term.detach()):g}" for name, term in losses.terms.items())
        return TrainingError(
            f"the loss is {float(losses.total.detach())} at step {progress.step} (epoch {progress.epoch})",
            seen=f"{terms}; learning rate {lr:g}, batch {self.recipe.batch}",
            fix=f"{REMEDY}; checkpoints of before stay in the run's folder",
        )


def _compile(learner: Learner) -> None:
    """Compile all networks: trunk and head of every branch, whichever way the branch calls them, and what stands beside."""
    # The compiler looks at the gradient of whatever it is given, of which torch then warns.
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    for part in learner.modules():
        if isinstance(part, Branch):
            part.trunk.compile()
            part.head.compile()
    for part in learner.children():
        if not any(isinstance(inner, Branch) for inner in part.modules()):
            part.compile()


def _synchronised(learner: Learner, device: str) -> Learner:
    if not device.startswith("cuda"):
        raise ConfigError(
            "batch statistics can't be synchronised on this device", seen=device, allowed="cuda", fix="--set sync_bn=false"
        )
    converted: Learner = nn.SyncBatchNorm.convert_sync_batchnorm(learner)
    return converted


def _parallel(learner: Learner) -> nn.Module:
    """Average gradients over the processes. Each keeps its own running statistics, which training never reads; the
    first one's are saved.
    """
    parallel = nn.parallel.DistributedDataParallel
    renamed = "forward_sync_buffers" in inspect.signature(parallel.__init__).parameters
    options: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    return parallel(learner, **options)
