"""The optimisers, each with the settings that it alone has. Adding one is a class and a line of `OPTIMIZERS`."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from pretrain.core.errors import ConfigError
from pretrain.core.ranges import Decay
from pretrain.core.settings import Settings

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer

Groups = Sequence[dict[str, Any]]
"""Parameter groups as torch takes them: `params`, `lr`, `weight_decay`, and `adapt` for layer-wise optimisers."""


class Optimizer(Settings):
    """Base of the optimisers' settings."""

    MOMENTS: ClassVar[int]
    """Tensors of a parameter's size that it keeps for each parameter."""

    name: str
    """A name of `OPTIMIZERS`."""

    def remark(self, batch: int) -> str:
        """Say what is known against this optimiser at a batch; empty where nothing is."""
        return ""

    @abstractmethod
    def build(self, groups: Groups) -> "TorchOptimizer":
        """Make the optimiser of some parameter groups."""


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, torch's."""

    MOMENTS: ClassVar[int] = 1

    name: Literal["sgd"] = "sgd"
    momentum: Decay = 0.9
    """Momentum coefficient."""

    def build(self, groups: Groups) -> "TorchOptimizer":
        """See `Optimizer`. In torch's fused form each parameter is read once, not once for each term."""
        import torch

        return torch.optim.SGD(groups, momentum=self.momentum, fused=True)


class AdamW(Optimizer):
    """Adam with decoupled weight decay (arXiv:1711.05101), torch's: it needs fewer steps where there are only hundreds."""

    MOMENTS: ClassVar[int] = 2

    name: Literal["adamw"] = "adamw"
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay rates of the moving averages of the gradient and of its square."""

    def build(self, groups: Groups) -> "TorchOptimizer":
        """See `Optimizer`."""
        import torch

        return torch.optim.AdamW(groups, betas=self.betas, fused=True)


class LARS(Optimizer):
    """Layer-wise adaptive rates on SGD with momentum (arXiv:1708.03888), in one of the published forms (`pretrain.lars`).

    The learning rate of each weight is scaled by trust × its length over its gradient's. Groups with `adapt: false` keep the
    plain learning rate.
    """

    MOMENTS: ClassVar[int] = 1
    SMALLEST_BATCH: ClassVar[int] = 256
    """The smallest batch of a published recipe with LARS (SwAV's with a queue, revisitAIRL's)."""

    name: Literal["lars"] = "lars"
    form: Literal["facebook", "simclr", "revisitairl", "larc", "solo-learn"] = "facebook"
    """Whose code it follows: they differ in the divisor, in the place of the learning rate, and at lengths of 0."""
    momentum: Decay = 0.9
    """Momentum coefficient."""
    trust: float = Field(0.001, gt=0)
    """Trust coefficient η."""

    def remark(self, batch: int) -> str:
        """See `Optimizer`. For tiny batches Barlow Twins' authors suggest SGD (facebookresearch/barlowtwins, issue 7)."""
        if batch >= self.SMALLEST_BATCH:
            return ""
        return (
            f"LARS at a batch of {batch}: no published recipe has fewer than {self.SMALLEST_BATCH} images, "
            "and rates don't scale down linearly; SGD is suggested for small batches (--set optimizer=sgd)"
        )

    def build(self, groups: Groups) -> "TorchOptimizer":
        """See `Optimizer`."""
        from pretrain.lars import FORMS, Lars

        return Lars(groups, FORMS[self.form], momentum=self.momentum, trust=self.trust)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adamw": AdamW, "lars": LARS}
"""Optimiser name → its settings."""


def get(name: str) -> type[Optimizer]:
    """The settings class of that optimiser.

    Raises:
        ConfigError: For an unknown name, with the nearest known one.
    """
    if name not in OPTIMIZERS:
        raise ConfigError.unknown("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name]
