"""The estimate of a run's time: one step is timed, and the rest is counted in forward passes of one image."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pretrain.core import distributed

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


Step = Callable[[], Work]
"""Do a little of a run's work on a copy of the model; return how much it was."""


def seconds(whole: Work, step: Step, device: str) -> float:
    """Time one step, and return the seconds that all processes together need for the whole work at that speed."""
    step()  # allocates
    _finish(device)
    began = time.monotonic()
    done = step()
    _finish(device)
    return (time.monotonic() - began) * whole.passes / done.passes / distributed.world()


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
