"""SimSiam (Chen and He 2020, arXiv:2011.10566; facebookresearch/simsiam @a7bc177, main_simsiam.py, simsiam/builder.py)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from pretrain.batch import Batch
from pretrain.losses.blends import over_sources
from pretrain.losses.cosine import negative_cosine
from pretrain.methods import BLUR, Shape, Statistics, Targets
from pretrain.multicrop import WHOLE, Predicting
from pretrain.parts.branch import Branch
from pretrain.parts.heads import mlp
from pretrain.recipe import Recipe
from pretrain.siamese import Siamese


class SimSiam(Predicting):
    """A predictor finds the projection of an image's other view, which takes no gradient; no negatives, no moving average.

    A blend is compared with each of its sources' projections by their fractions (i-Mix, arXiv:2010.08887, has it for BYOL).
    Augmented on the query alone, targets cost a second pass of both views. Learning rates: the code decays the predictor's
    too unless told `--fix-pred-lr`, with which all published numbers were made, and which is the recipe here.
    """

    called: ClassVar[str] = "SimSiam"
    about: ClassVar[str] = "a predictor meets its own branch, stopped"
    source: ClassVar[str] = "arXiv:2011.10566; facebookresearch/simsiam @a7bc177"
    departs: ClassVar[tuple[str, ...]] = (
        "the predictor's rate stays (the code's --fix-pred-lr), as in all published runs; the code's default decays it",
        "the batch is the code's 512; the paper's best is 256",
        BLUR,
    )
    labels: ClassVar[Literal["unused", "optional", "required"]] = "unused"
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 100,
            "batch": 512,
            "base_lr": 0.05,
            "groups": [{"match": "predictor.*", "lr_fixed": True}],
        }
    )
    small: ClassVar[Mapping[str, Any]] = {"bn_splits": 1, "feature_dim": 512, "predictor": 128}
    statistics: ClassVar[Statistics | None] = Statistics(512, "synchronised")

    targets: ClassVar[Targets] = "shared"

    name: Literal["simsiam"] = "simsiam"
    feature_dim: int = Field(2048, ge=2)
    """Length of projections and predictions."""
    predictor: int = Field(512, ge=1)
    """Hidden width of the predictor: a bottleneck."""
    zero_init_residual: bool = True
    """Whether residual blocks begin as the identity."""

    def learner(self, shape: Shape) -> "SimSiamLearner":
        """Build the branch and the predictor."""
        return SimSiamLearner(self, shape)


class SimSiamLearner(Siamese):
    """The learner of SimSiam."""

    def __init__(self, method: SimSiam, shape: Shape) -> None:
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        if method.zero_init_residual:
            shape.architecture.zero_init_residual(trunk)
        last.bias.requires_grad = False  # as published: the norm after it takes it away
        width, out = last.in_features, method.feature_dim
        head = mlp((width, width, width, out), bias=False, norm="bn", last=last, out_norm="bn-plain")
        predictor = mlp((out, method.predictor, out), bias=False, norm="bn")
        super().__init__(Branch(trunk, head, splits=shape.splits, bf16=shape.bf16), predictor=predictor)

    def compare(self, prediction: Tensor, target: Tensor, batch: Batch, view: int) -> Tensor:
        """Compare by the cosine; half of each pair's, so that the whole is in [−1, 1]."""
        seen = batch.views[view]
        return over_sources(seen, lambda source: negative_cosine(prediction, target[source])).mean() / WHOLE
