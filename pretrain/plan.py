"""What a pre-training will take, before it starts: parameters, steps, memory and time."""

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.config import PretrainConfig
from pretrain.trainer import Trainer

TIMED_PIXELS = 2**18
"""Pixels of one view of the batch that an estimate is timed on: 5 images of 224 pixels a side, 64 of 64."""
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


def plan(config: PretrainConfig, *, images: int, classes: int, device: str) -> Plan:
    """Estimate a run on `images` images of `classes` classes."""
    run = Trainer(config, classes, device)
    seconds, activations = measure(run)
    trained = list(run.template.query.parameters())
    moments = {"sgd": 1, "adamw": 2}[config.optimizer]
    held = [*run.template.parameters(), *run.template.buffers()]
    state = sum(map(_bytes, held)) + (1 + moments) * sum(map(_bytes, trained))
    return Plan(
        parameters=sum(p.numel() for p in trained),
        steps=(steps := images // config.batch * config.epochs),
        seconds=seconds * config.batch * steps,
        state_mib=state / MIB,
        activations_mib=activations * config.batch / MIB,
    )


def measure(run: Trainer) -> tuple[float, float]:
    """Wall seconds and bytes kept for the backward pass, per image, on a copy of the encoders: the run stays as it is."""
    config = run.config
    n = min(config.batch, max(2, TIMED_PIXELS // config.size**2) * config.bn_splits)
    crop = torch.zeros((n, 3, config.size, config.size), dtype=torch.uint8, device=run.device)
    crops = [crop] * run.template.method.views
    template = copy.deepcopy(run.template)
    labels = torch.zeros(n, dtype=torch.long, device=run.device)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    times = []
    for _ in range(3):
        began = time.monotonic()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = run.forward(template, crops, labels, step=0).loss
        loss.backward()
        float(loss.detach())  # a GPU is done when its result is here
        times.append((time.monotonic() - began) / n)
        for held in (*template.parameters(), *template.buffers()):
            kept.pop(held.untyped_storage().data_ptr(), None)
        activations, kept = sum(kept.values()) / n, {}
    return min(times), activations  # the first warms up, and other processes only ever slow one down


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
