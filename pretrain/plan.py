"""What a pre-training will take, before it starts: parameters, steps, memory and time."""

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain import augment
from pretrain.config import PretrainConfig
from pretrain.trainer import Trainer

FORWARD, BACKWARD = 1, 2
"""What a pass costs, in forward passes."""
TIMED_PIXELS = 2**18
"""Pixels of the largest view of the batch that an estimate is timed on: 5 images of 224 pixels a side, 64 of 64."""
MIB = 2**20


@dataclass(frozen=True)
class Plan:
    """An estimate; times and activations are measured on a few images of this machine."""

    parameters: int
    """Trained parameters."""
    steps: int
    """Optimiser steps, of all epochs."""
    seconds: float
    """Wall seconds of the training steps. Decoding runs beside them."""
    state_mib: float
    """Encoders, gradients, optimiser state and queue."""
    activations_mib: float
    """What the backward pass of one process's batch needs."""


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


def plan(config: PretrainConfig, *, images: int, classes: int, device: str) -> Plan:
    """Estimate a run on `images` images of `classes` classes."""
    trainer = Trainer(config, images, classes, device)
    seconds, activations = measure(trainer)
    trained = [parameter for _, parameter in trainer.learner.trained()]
    held = [*trainer.learner.parameters(), *trainer.learner.buffers()]
    state = sum(map(_bytes, held)) + (1 + config.recipe.optimizer.MOMENTS) * sum(map(_bytes, trained))
    return Plan(
        parameters=sum(p.numel() for p in trained),
        steps=trainer.steps,
        seconds=seconds * config.recipe.batch * trainer.steps,
        state_mib=state / MIB,
        activations_mib=activations * config.recipe.batch / MIB,
    )


def measure(trainer: Trainer) -> tuple[float, float]:
    """Time a few images and count the bytes kept for the backward pass; returns wall seconds and bytes per image.

    The passes are made on a copy of the learner: the run stays as it is.
    """
    config, learner = trainer.config, copy.deepcopy(trainer.learner)
    views, progress = config.views(), trainer.progress(0)
    largest = max(view.size for view in views)
    n = min(config.recipe.batch, max(2, TIMED_PIXELS // largest**2) * config.bn_splits)
    crops = [torch.zeros((n, 3, view.size, view.size), dtype=torch.uint8, device=trainer.device) for view in views]
    labels = torch.zeros(n, dtype=torch.long, device=trainer.device)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    times = []
    for _ in range(3):
        began = time.monotonic()
        learner.before_forward(progress)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            batch = trainer.batch(crops, labels, progress, learner=learner)
            if batch.before is None:  # what an augmentation asked is answered and gone
                kept.clear()
            loss = learner(batch).total
        loss.backward()
        float(loss.detach())  # a GPU is done when its result is here
        times.append((time.monotonic() - began) / n)
        for held in (*learner.parameters(), *learner.buffers()):
            kept.pop(held.untyped_storage().data_ptr(), None)
        activations, kept = sum(kept.values()) / n, {}
    return min(times), activations  # the first warms up, and other processes only ever slow one down


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
