"""Layer-wise adaptive rates on SGD with momentum (LARS, arXiv:1708.03888), in each of the forms that published codes have.

They differ where a paper doesn't say: in what a weight's length is divided by, in where the learning rate stands, and in what
happens to a weight or a gradient of length 0. Trained with the wrong one, a method misses its published numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Form:
    """One published form of LARS. Of a weight w with gradient g and decay d the step is the gradient g + d·w, scaled."""

    code: str
    """Where it is published."""
    joint: bool = True
    """Whether trust·‖w‖ is divided by ‖g + d·w‖; else by ‖g‖ + d·‖w‖."""
    lr_inside: bool = False
    """Whether the momentum buffer adds up steps with the learning rate; else gradients, and the rate comes after it."""
    epsilon: float = 0.0
    """Added to the divisor."""
    decays_zeros: bool = True
    """Whether a weight decays whose own length or whose gradient's is 0; its gradient is never scaled."""
    clipped: bool = False
    """Whether the learning rate is at most the one without scaling: the factor is min(factor / rate, 1)."""


FORMS: Mapping[str, Form] = {
    "facebook": Form("facebookresearch/barlowtwins, vicreg, dino and moco-v3; google-deepmind/deepmind-research, byol"),
    "simclr": Form("google-research/simclr, tf2/lars_optimizer.py, classic_momentum", lr_inside=True),
    "revisitairl": Form("megvii-research/revisitAIRL, solver/optimizer.py", joint=False, lr_inside=True),
    "larc": Form("NVIDIA/apex, parallel/LARC.py without clipping (SwAV)", joint=False, epsilon=1e-8, decays_zeros=False),
    "solo-learn": Form(
        "vturrisi/solo-learn, utils/lars.py, clip_lr; its trust is .02",
        joint=False, epsilon=1e-8, decays_zeros=False, clipped=True,
    ),
}  # fmt: skip
"""Name → form."""


class Lars(torch.optim.Optimizer):
    """LARS in one of its forms. Groups with `adapt: False` take plain steps of SGD with momentum."""

    def __init__(self, groups: Any, form: Form, *, momentum: float, trust: float) -> None:
        """Take parameter groups with `lr`, `weight_decay` and, if not True, `adapt`.

        Args:
            groups: As torch takes them.
            form: The published form.
            momentum: Momentum coefficient.
            trust: Coefficient η of the scaled learning rate.
        """
        self.form, self.momentum, self.trust = form, momentum, trust
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, "adapt": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group["lr"], group["weight_decay"], adapt=group["adapt"])
        return loss

    def _move(self, weight: Tensor, lr: float, decay: float, *, adapt: bool) -> None:
        gradient = weight.grad
        assert gradient is not None
        step = gradient.add(weight, alpha=decay) if decay else gradient
        if adapt:
            step = self._scaled(weight, gradient, step, lr, decay)
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        inside = self.form.lr_inside
        buffer = state["momentum"].mul_(self.momentum).add_(step, alpha=lr if inside else 1)
        weight.sub_(buffer, alpha=1 if inside else lr)

    def _scaled(self, weight: Tensor, gradient: Tensor, step: Tensor, lr: float, decay: float) -> Tensor:
        form, length = self.form, weight.norm()
        divisor = step.norm() if form.joint else gradient.norm() + decay * length + form.epsilon
        usable = (length > 0) & ((divisor if form.joint else gradient.norm()) > 0)
        factor = self.trust * length / divisor
        if form.clipped:
            factor = (factor / lr).clamp(max=1) if lr else torch.ones_like(factor)
        scaled = step * torch.where(usable, factor, torch.ones_like(factor))
        return scaled if form.decays_zeros else torch.where(usable, scaled, gradient)
