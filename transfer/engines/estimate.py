"""The estimate of a run's time: one step is timed, and the rest is counted in forward passes of one image."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pretrain.core import distributed, kept
from pretrain.core.devices import TIMED, WARMED

BACKWARD_COST = 2.0
"""The backward pass and the update of an image cost this many of its forward passes."""


@dataclass(frozen=True)
class Work:
    """Work in images. Those that cost more than a training image's forward pass count as more than one."""

    trained: float = 0.0
    """Images that go forward and backward."""
    forwarded: float = 0.0
    """Images that only go forward."""

    @property
    def passes(self) -> float:
        """Return the work in forward passes of one image."""
        return self.trained * (1 + BACKWARD_COST) + self.forwarded


@dataclass(frozen=True)
class Step:
    """A little of a run's work on a copy of the model; called, it does it and returns how much it was."""

    network: nn.Module
    """The copy."""
    do: Callable[[], Work]

    def __call__(self) -> Work:
        """Do it."""
        return self.do()


def seconds(whole: Work, step: Callable[[], Work], device: str) -> float:
    """Time a step, and return the seconds that all processes together need for the whole work at that speed."""
    warmed, timed = (1, 1) if device == "cpu" else (WARMED, TIMED)
    for _ in range(warmed):
        step()  # allocates
    _finish(device)
    began = time.monotonic()
    done = [step().passes for _ in range(timed)]
    _finish(device)
    return (time.monotonic() - began) * whole.passes / sum(done) / distributed.world()


def activations(step: Step) -> float:
    """Do a step, and return the bytes that are kept of each trained image for the backward pass; 0 where none is trained."""
    with kept.keeping() as saved:
        done = step()
    beside = kept.beside(saved, (*step.network.parameters(), *step.network.buffers()))
    return beside / done.trained if done.trained else 0.0


def together(device: str, batch: int, few: int) -> int:
    """Return how many images to time: few on a CPU; a GPU does few in little less time than a process's whole batch."""
    return few if device == "cpu" else max(few, batch // distributed.world())


def _finish(device: str) -> None:
    """Wait for what a GPU was given to do, which goes on while the program does."""
    if device != "cpu":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def without_drawing(device: str) -> Iterator[None]:
    """Restore the state of every global random generator afterwards, so that what is drawn inside moves no number."""
    states = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[] if device == "cpu" else [device]):
            yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
