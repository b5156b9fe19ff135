"""Values that change while a run trains: learning rate, weight decay, a target's momentum, temperatures."""

import math
from typing import Literal

from pydantic import Field

from pretrain.core.settings import Settings

MILESTONES = (0.6, 0.8)
"""Fractions of the epochs after which `step` divides by ten (MoCo v1: epochs 120 and 160 of 200)."""

ENDLESS = ("constant", "step")
"""Shapes that don't look at a value's end."""


class Schedule(Settings):
    """How a value goes from its start to its end."""

    shape: Literal["constant", "linear", "cosine", "step"] = "cosine"
    """`cosine`: half a cosine; `step`: × 0.1 at 60 % and at 80 %, whatever the end."""
    per: Literal["epoch", "step"] = "epoch"
    """Whether the value changes with every epoch or with every optimiser step."""
    warmup_epochs: float = Field(0, ge=0)
    """Epochs over which the value first rises linearly to its start; the shape covers what is left."""
    warmup_from: float = Field(0, ge=0, le=1)
    """Fraction of the start that the warm-up begins with."""
    warmup_arrives: Literal["after", "within"] = "after"
    """When the warm-up reaches the start: with the first step after it, or with its own last step (numpy's linspace, as
    SwAV's and DINO's codes have it)."""

    def value(self, start: float, end: float, *, step: int, steps: int, epoch: int, epochs: int) -> float:
        """Compute the value before a step.

        Args:
            start: Value at the start, after the warm-up.
            end: Value at the end; `constant` and `step` don't look at it.
            step: Steps done.
            steps: Steps of the run.
            epoch: Epochs done.
            epochs: Epochs of the run.
        """
        done, total = map(float, (epoch, epochs) if self.per == "epoch" else (step, steps))
        warmup = self.warmup_epochs * total / epochs
        if done < warmup:
            rise = warmup - 1 if self.warmup_arrives == "within" else warmup
            return start * (self.warmup_from + (1 - self.warmup_from) * (min(done / rise, 1.0) if rise > 0 else 1.0))
        done, total = done - warmup, total - warmup
        if self.shape == "constant":
            return start
        if self.shape == "step":
            return start * 0.1 ** sum(done >= fraction * total for fraction in MILESTONES)
        if self.shape == "linear":
            return start + (end - start) * done / total
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * done / total))
