"""Targets: the branch whose outputs are predicted and which takes no gradient.

A method with shared weights calls its own branch under `torch.no_grad()`; one with a momentum encoder has a `MomentumTarget`,
and says by the hook from which it calls `move` whether the target moves before the pass or after the step.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pretrain.batch import Progress
from pretrain.parts.branch import Branch
from pretrain.schedule import Schedule


class MomentumTarget(nn.Module):
    """A moving average of a branch. It averages parameters; its norms' statistics come from its own passes, as published."""

    def __init__(self, branch: Branch, fresh: Branch | None = None) -> None:
        """Start as a copy of the branch, or as another draw, `fresh`, of the same networks (BYOL)."""
        super().__init__()
        self.branch = (copy.deepcopy(branch) if fresh is None else fresh).requires_grad_(False)

    @torch.no_grad()
    def move(self, towards: nn.Module, momentum: float) -> None:
        """Set every parameter to `momentum` times itself plus the rest of the other's.

        NOTE: in this order it rounds as facebookresearch/moco @7397dfe does.
        """
        mine: list[Tensor] = list(self.branch.parameters())
        theirs: list[Tensor] = list(towards.parameters())
        if mine[0].device.type == "cpu":  # one after the other: what is in between stays in the cache
            for own, other in zip(mine, theirs, strict=True):
                own.mul_(momentum).add_(other * (1 - momentum))
            return
        torch._foreach_mul_(mine, momentum)  # all at once: a few launches on a GPU, not hundreds
        torch._foreach_add_(mine, torch._foreach_mul(theirs, 1 - momentum))

    @torch.no_grad()
    def together(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Encode views (N, 3, S, S) of one size as one batch, trunk and head alike; returns (N, D) of each."""
        return self.branch.by_size(views)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, S, S) as (N, D)."""
        outputs: Tensor = self.branch(images)
        return outputs


def rising(start: float, progress: Progress, *, ahead: int = 0) -> float:
    """Return the momentum of a step on its way from `start` to 1 along half a cosine of all steps (BYOL, arXiv:2006.07733).

    `ahead`: steps by which a code is ahead in its count: 1 where it moves the target after the step and counts from 1.
    """
    step = progress.step + ahead
    return Schedule(per="step").value(start, 1.0, step=step, steps=progress.steps, epoch=0, epochs=progress.epochs)
