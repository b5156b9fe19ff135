"""What the loop knows of a method: forward on a batch, three hooks around it, what it trains, and what it leaves."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from pretrain.batch import Batch, Losses, Progress

__all__ = ["Exported", "Learner", "Losses", "MapsClasses"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What a learner leaves when it has trained."""

    backbone: dict[str, Tensor]
    """The trunk's tensors under the architecture's names."""
    projector: nn.Module | None
    """The head it was trained behind, of layers that `pretrain.parts.heads.mlp` makes; None where there is none."""


class Learner(nn.Module, ABC):
    """Base of all methods' modules. Each step the loop calls, in this order: `before_forward`, `forward` (with gradient, unless
    `fills` says otherwise), the backward pass, `after_backward`, the optimiser's step, `after_step`.

    Everything a hook does is a function of its arguments, of the module's tensors and of torch's global generator, which each
    step begins with a seed of its own, so that a resumed run is exact.
    """

    @abstractmethod
    def forward(self, batch: Batch) -> Losses:
        """Compute the losses of a batch."""

    def fills(self, step: int) -> bool:
        """Return whether a step only fills a memory and moves no parameter; such steps come first."""
        return False

    def trains_on_clean(self) -> bool:
        """Return whether the losses of the views before the augmentation are terms of its own. Where the augmentation asks for
        the saliency, their pass is made then, and `Batch.before` has what came of it.
        """
        return False

    def before_forward(self, progress: Progress) -> None:
        """Prepare the pass: move a target, bring prototypes to unit length."""

    def after_backward(self, progress: Progress) -> None:
        """Change gradients before the optimiser sees them: freeze, clip."""

    def after_step(self, batch: Batch, losses: Losses) -> None:
        """Keep what the next steps need: enqueue keys, move a target or a centre."""

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the parameters to optimise with their names, which the recipe's parameter groups match."""
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad)

    @abstractmethod
    def export(self) -> Exported:
        """Return what is taken from this learner to be transferred."""


class MapsClasses(Learner):
    """A learner that also says where in an image it sees a class: of methods whose `answers` have the class activation."""

    @abstractmethod
    def class_maps(self, images: Tensor, labels: Tensor) -> Tensor:
        """Compute what speaks for each image's own class: (N, h, w), of any scale and zero.

        Args:
            images: (N, 3, S, S), normalised.
            labels: (N,); for `UNLABELLED` anything may come.
        """
