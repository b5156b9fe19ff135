"""What a learner is given in one step, views of a batch of images, their labels, and how far the run is; and what it gives.

Shapes: N images of this process; S pixels, the side of a view.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from pretrain.augment.mixed import Mixed
from pretrain.augment.pipelines import Pipeline

Role = Literal["online", "target", "both"]
"""Which encoders a view is for: the trained one, the one that makes its targets, or both."""


@dataclass(frozen=True, slots=True)
class View:
    """How one view of every image is made: a crop, then the operations of a pipeline."""

    name: str
    """What pictures call it, such as `query`."""
    pipeline: Pipeline
    """Its crop and its operations."""
    size: int
    """Its side, in pixels."""
    role: Role = "both"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, before the step at hand."""

    step: int
    """Steps done."""
    steps: int
    """Steps of the whole run."""
    epoch: int
    """Epochs done."""
    epochs: int
    """Epochs of the whole run."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The outputs of one forward pass."""

    terms: Mapping[str, Tensor]
    """Name → scalar; their sum is minimised."""
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)
    """Name → scalar without gradient, for the log alone."""
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    """What `after_step` needs of this pass, such as the keys to enqueue."""

    @property
    def total(self) -> Tensor:
        """Sum the terms."""
        return torch.stack(list(self.terms.values())).sum()


@dataclass(frozen=True, slots=True)
class Batch:
    """The views of a step, in the order in which the method declares them."""

    views: tuple[Mixed, ...]
    """Each view after the augmentation, with what was blended into it; sizes may differ between views."""
    clean: tuple[Tensor, ...]
    """The same views before the augmentation, each (N, 3, S, S), normalised."""
    labels: Tensor
    """(N,), `UNLABELLED` where a label is not to be used."""
    order: Tensor
    """Permutation of the step's images over all processes, on the CPU, for batch statistics of other images."""
    progress: Progress
    both: bool = False
    """Whether the augmentation is on every view, those that targets are made of too."""
    before: Losses | None = None
    """What came of the views before the augmentation, where `Learner.trains_on_clean` and it had to be asked for."""

    @property
    def targets(self) -> tuple[Tensor, ...]:
        """What the network that makes the targets sees of each view: (N, 3, S, S), normalised."""
        return tuple(view.images for view in self.views) if self.both else self.clean
