"""What a pre-training will take, before it starts: parameters, steps, memory and time."""

import contextlib
import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch

from pretrain import augment
from pretrain.config import PretrainConfig
from pretrain.core import kept, launcher
from pretrain.core.counts import counted
from pretrain.core.devices import TIMED, WARMED
from pretrain.core.errors import DataError
from pretrain.core.workers import count
from pretrain.images import cache
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Decodable, Epochs, Images, Position
from pretrain.images.skipping import Skipped
from pretrain.inputs import crops
from pretrain.trainer import Trainer

FORWARD, BACKWARD = 1, 2
"""What a pass costs, in forward passes."""
TIMED_PIXELS = 2**18
"""Pixels of the largest view of the batch that an estimate is timed on: 5 images of 224 pixels a side, 64 of 64."""
LOADED = 32
"""Images loaded for an estimate."""


@dataclass(frozen=True)
class Plan:
    """An estimate; times and activations are measured on a few images of this machine."""

    parameters: int
    """Trained parameters."""
    steps: int
    """Optimiser steps, of all epochs."""
    seconds: float
    """Wall seconds of the training."""
    bound: str
    """Which is the slower one, the steps or the loader workers, in words."""
    state: int
    """Bytes of encoders, gradients, optimiser state and queue, in every process."""
    activations: float
    """Bytes that the backward pass of one process's batch needs."""


@dataclass(frozen=True)
class Pace:
    """What one image takes a process, in wall seconds."""

    step: float
    """In the training step."""
    load: float
    """In the loader workers, all of them together."""
    workers: int
    """Loader workers."""
    gpu_decodes: bool = False
    """Whether JPEGs are decoded and cropped in the step, which `step` leaves out."""

    @classmethod
    def of(cls, config: PretrainConfig, device: str, *, step: float, load: float) -> Self:
        """Of a run on a device, from what `measure` and `loading` have timed."""
        return cls(step, load, count(config.num_workers, device), config.decode == "gpu")

    @property
    def seconds(self) -> float:
        """Workers load while the process trains; without any it does both in turn."""
        return max(self.step, self.load) if self.workers else self.step + self.load

    def bound(self) -> str:
        """Say what an image takes on either side, and which side is waited for."""
        workers = counted(self.workers, "loader worker")
        each = f"{self.step * 1000:.2g} ms an image in a step, {self.load * 1000:.2g} ms by {workers}"
        slower = f"{each}: the {'loader' if self.load > self.step else 'step'} is the slower one"
        return slower + ("; what the GPU takes to decode and crop JPEGs is not in it" if self.gpu_decodes else "")


def passes(config: PretrainConfig) -> float:
    """Count what a step computes for each image, in forward passes of a whole view; a backward pass is two of them.

    A smaller view counts by its area. Heads and losses are left out.
    """
    views, method = config.views(), config.method
    whole = max(view.size for view in views)
    trained = sum((view.size / whole) ** 2 for view in views if view.role != "target")
    apart = config.aug != "none" and config.aug_views == "query"  # targets then see other images than the trained network
    kinds = [augment.AUGMENTATIONS[name].kind for name in config.aug.split(augment.JOIN)]
    trained += method.sees_unblended and "blend" in kinds and apart
    taught = sum((view.size / whole) ** 2 for view in views if view.role != "online")
    again = method.targets == "momentum" or (method.targets == "shared" and apart)
    return (FORWARD + BACKWARD) * trained + FORWARD * taught * again


def cost(config: PretrainConfig) -> str:
    """Say what `passes` counts, in words, with the part of small crops."""
    views = config.views()
    small = [view for view in views if view.size < views[0].size]
    said = f"{passes(config):.3g} forward passes of a view of {views[0].size} pixels for each image, a backward pass as two"
    if not small:
        return said
    without = passes(config) - sum((FORWARD + BACKWARD) * (view.size / views[0].size) ** 2 for view in small)
    return f"{said}; {without:.3g} without the {len(small)} small crops of {small[0].size} pixels"


def plan(config: PretrainConfig, *, images: int, classes: int, device: str, processes: int = 1, load: float = 0.0) -> Plan:
    """Estimate a run on `images` images of `classes` classes in some processes; `load` is what `loading` returns."""
    trainer = Trainer(config, images, classes, device)
    step, activations = measure(trainer, processes)
    pace = Pace.of(config, device, step=step, load=load)
    trained = [parameter for _, parameter in trainer.learner.trained()]
    held = [*trainer.learner.parameters(), *trainer.learner.buffers()]
    each = config.recipe.batch / processes
    return Plan(
        parameters=sum(p.numel() for p in trained),
        steps=trainer.steps,
        seconds=pace.seconds * each * trainer.steps,
        bound=pace.bound(),
        state=kept.state(held, trained, config.recipe.optimizer.MOMENTS),
        activations=activations * each,
    )


def loading(config: PretrainConfig, images: Images, labels: Sequence[int], device: str = "cpu") -> float:
    """Time a few images as the loader workers load them; returns the seconds for each image, of all workers together."""
    skipped = Skipped(len(images)) if config.on_bad_image == "skip" else None
    some, drawn = few(config, images), crops(config, images, labels, skipped, encoded=config.decode == "gpu")
    drawn.__getitems__(some[:1])  # the first one also waits for what is imported with it, which a run does once
    began = time.monotonic()
    drawn.__getitems__(some)
    side_by_side = max(1, min(count(config.num_workers, device), launcher.cores() // launcher.processes_here()))
    return (time.monotonic() - began) / len(some) / side_by_side


def as_kept(config: PretrainConfig, images: ImageSet) -> Images:
    """Open the images as a run reads them, with those that `loading` times as its cache will hold them; nothing is cached."""
    opened = cache.as_kept(images, config.cache, side=config.kept_side, reduced=config.reduced_decode)
    if config.cache is None:
        return opened
    held = _Held(opened)
    for _, index in few(config, images):
        with contextlib.suppress(DataError):  # the loader says it, or takes another image
            held.kept[index] = opened.picture(index)
    return held


@dataclass(frozen=True)
class _Held:
    """Images of which a few are kept."""

    images: Images
    kept: dict[int, Decodable] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, index: int) -> Decodable:
        return self.kept.get(index) or self.images.picture(index)


def few(config: PretrainConfig, images: Images) -> list[Position]:
    """Name images of the run's first batch, by epoch and index."""
    return next(iter(Epochs(len(images), batch=config.recipe.batch, epochs=1, seed=config.seed)))[:LOADED]


def measure(trainer: Trainer, processes: int) -> tuple[float, float]:
    """Time a few images and count the bytes kept for the backward pass; returns wall seconds and bytes per image.

    A GPU does few images in little less time than many: there a process's whole batch is timed. The passes are made on a copy
    of the learner: the run stays as it is.

    Args:
        trainer: The run.
        processes: How many divide its batch.
    """
    config, learner, gpu = trainer.config, copy.deepcopy(trainer.learner), trainer.device.startswith("cuda")
    views, progress = config.views(), trainer.progress(0)
    n = config.recipe.batch // processes
    if not gpu:
        largest = max(view.size for view in views)
        n = min(n, max(2, TIMED_PIXELS // largest**2) * config.bn_splits)
    images = [torch.zeros((n, 3, view.size, view.size), dtype=torch.uint8, device=trainer.device) for view in views]
    labels = torch.zeros(n, dtype=torch.long, device=trainer.device)
    times = []
    for _ in range(WARMED + TIMED if gpu else 3):
        began = time.monotonic()
        learner.before_forward(progress)
        with kept.keeping() as saved:
            batch = trainer.batch(images, labels, progress, learner=learner)
            if batch.before is None:  # what an augmentation asked is answered and gone
                saved.clear()
            loss = learner(batch).total
        loss.backward()
        float(loss.detach())  # a GPU is done when its result is here
        times.append((time.monotonic() - began) / n)
        activations = kept.beside(saved, (*learner.parameters(), *learner.buffers())) / n
    return min(times[WARMED:] if gpu else times), activations  # other processes only ever slow one down
