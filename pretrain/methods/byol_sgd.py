"""BYOL trained with SGD (Huang et al. 2022, arXiv:2208.00275; megvii-research/revisitAIRL @7afeb02, exp/byol.py).

Its numbers are the ones that MoCo v2+ is compared with under one recipe.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from pretrain.batch import Batch
from pretrain.learner import Losses
from pretrain.losses.blends import over_sources
from pretrain.losses.cosine import negative_cosine
from pretrain.methods import Shape, Statistics
from pretrain.multicrop import Predicting
from pretrain.parts.branch import Branch
from pretrain.parts.heads import mlp
from pretrain.parts.target import MomentumTarget, rising
from pretrain.recipe import Recipe
from pretrain.siamese import Siamese

WARM_START = 1e-6
"""Learning rate that the warm-up of this family begins with."""


def warm(lr: float) -> dict[str, Any]:
    """Return the schedule of this family for a learning rate: a cosine by the step, after ten epochs of warm-up."""
    return {"per": "step", "warmup_epochs": 10, "warmup_from": WARM_START / lr}


class ByolSgd(Predicting):
    """A predictor finds what a moving average of the encoder says of an image's other view; no negatives.

    A blend is compared with each of its sources' targets by their fractions (i-Mix, arXiv:2010.08887, section 3.4).
    """

    called: ClassVar[str] = "BYOL-SGD"
    about: ClassVar[str] = "BYOL trained with SGD"
    source: ClassVar[str] = "arXiv:2208.00275; megvii-research/revisitAIRL @7afeb02, exp/byol.py"
    labels: ClassVar[Literal["unused", "optional", "required"]] = "unused"
    recipe: ClassVar[Recipe] = Recipe.read({"pipeline": "revisitairl", "schedule": warm(0.03)})
    small: ClassVar[Mapping[str, Any]] = {"bn_splits": 1, "hidden": 512, "feature_dim": 128}
    statistics: ClassVar[Statistics | None] = Statistics(256, "synchronised")

    name: Literal["byol-sgd"] = "byol-sgd"
    hidden: int = Field(4096, ge=1)
    """Hidden width of projector and predictor."""
    feature_dim: int = Field(256, ge=2)
    """Length of projections and predictions."""
    momentum: float = Field(0.99, ge=0, le=1)
    """Fraction of the target kept at the first step; it rises to 1 along half a cosine."""

    def learner(self, shape: Shape) -> "Byol":
        """Build branch, predictor and target."""
        return Byol(self, shape)


class Byol(Siamese):
    """The learner of BYOL."""

    counts_from = 1
    """The number of the first step where the target's momentum is computed."""

    def __init__(self, method: ByolSgd, shape: Shape, *, out_bias: bool = True, fresh: bool = False) -> None:
        """Build the parts.

        Args:
            method: Its settings.
            shape: What it is made for.
            out_bias: Whether the last layers of projector and predictor have a bias.
            fresh: Whether the target starts as another draw, not as a copy.
        """
        online = self._branch(method, shape, out_bias=out_bias)
        predictor = mlp((method.feature_dim, method.hidden, method.feature_dim), norm="bn", out_bias=out_bias)
        other = self._branch(method, shape, out_bias=out_bias) if fresh else None
        super().__init__(online, predictor=predictor, target=MomentumTarget(online, other))
        self.momentum = method.momentum

    def _branch(self, method: ByolSgd, shape: Shape, *, out_bias: bool) -> Branch:
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        head = mlp((last.in_features, method.hidden, method.feature_dim), norm="bn", out_bias=out_bias)
        return Branch(trunk, head, splits=shape.splits, bf16=shape.bf16)

    def compare(self, prediction: Tensor, target: Tensor, batch: Batch, view: int) -> Tensor:
        """Compute 2 − 2 cos, the square distance of unit vectors."""
        seen = batch.views[view]
        return over_sources(seen, lambda source: 2 + 2 * negative_cosine(prediction, target[source])).mean()

    def after_step(self, batch: Batch, losses: Losses) -> None:
        """Move the target after the step, as published."""
        assert self.target is not None
        self.target.move(self.online, rising(self.momentum, batch.progress, ahead=self.counts_from))
