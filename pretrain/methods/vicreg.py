"""VICReg (Bardes, Ponce and LeCun 2021, arXiv:2105.04906; facebookresearch/vicreg @4e12602, main_vicreg.py)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field

from pretrain.batch import Batch
from pretrain.core import distributed
from pretrain.learner import Exported, Learner, Losses
from pretrain.losses.decorrelation import covariance_term, variance_term
from pretrain.methods import BLUR, Method, Shape, Statistics
from pretrain.methods.barlowtwins import WHOLE_BATCH
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import told_apart
from pretrain.parts.heads import mlp
from pretrain.recipe import Recipe


class VICReg(Method):
    """Two views' features are to be alike, each feature is to vary over a batch, and different features not together.

    The recipe is that of 1000 epochs; 100 epochs at a batch of 512 have rate .3. As in the code the mean of squares is over
    features too, and the variance's term is the mean of both views; the paper has sums for both.
    """

    called: ClassVar[str] = "VICReg"
    about: ClassVar[str] = "two views alike, features varied and apart"
    source: ClassVar[str] = "arXiv:2105.04906; facebookresearch/vicreg @4e12602"
    departs: ClassVar[tuple[str, ...]] = (
        "squares are averaged over features too, and the variance over both views, as in the code; the paper has sums",
        BLUR,
    )
    labels: ClassVar[Literal["unused", "optional", "required"]] = "unused"
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 1000,
            "batch": 2048,
            "base_lr": 0.2,
            "end_lr": 0.001,
            "weight_decay": 1e-6,
            "optimizer": "lars",
            "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False}],
            "schedule": {"per": "step", "warmup_epochs": 10},
            "pipeline": "byol-bicubic",
        }
    )
    small: ClassVar[Mapping[str, Any]] = {"bn_splits": 1, "hidden": 512, "feature_dim": 512}
    statistics: ClassVar[Statistics | None] = Statistics(2048, "synchronised")
    refuses_blends: ClassVar[str] = WHOLE_BATCH

    name: Literal["vicreg"] = "vicreg"
    hidden: int = Field(8192, ge=1)
    """Width of the projector's two hidden layers."""
    feature_dim: int = Field(8192, ge=2)
    """Length of embeddings."""
    invariance: float = Field(25.0, ge=0)
    """Weight of the distance of two views."""
    variance: float = Field(25.0, ge=0)
    """Weight of features that vary too little."""
    covariance: float = Field(1.0, ge=0)
    """Weight of features that vary together."""
    zero_init_residual: bool = True
    """Whether residual blocks begin as the identity."""

    def learner(self, shape: Shape) -> "Vic":
        """Build the branch."""
        return Vic(self, shape)


class Vic(Learner):
    """The learner of VICReg."""

    def __init__(self, method: VICReg, shape: Shape) -> None:
        super().__init__()
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        if method.zero_init_residual:
            shape.architecture.zero_init_residual(trunk)
        widths = (last.in_features, method.hidden, method.hidden, method.feature_dim)
        head = mlp(widths, norm="bn", out_bias=False)
        self.online = Branch(trunk, head, splits=shape.splits, bf16=shape.bf16)
        self.method = method

    def forward(self, batch: Batch) -> Losses:
        """Compute the three terms; variance and covariance are over all processes, with gradient."""
        own = [self.online(view.images) for view in batch.views]
        first, second = (distributed.gather_with_gradient(each) for each in own)
        terms = {
            "invariance": self.method.invariance * F.mse_loss(*own),
            "variance": self.method.variance * (variance_term(first) + variance_term(second)) / 2,
            "covariance": self.method.covariance * (covariance_term(first) + covariance_term(second)),
        }
        least = first.detach().std(dim=0).min()
        logged = {name: term.detach() for name, term in terms.items()}
        return Losses(terms, {**told_apart(*own), **logged, "least_deviation": least})

    def export(self) -> Exported:
        """Return the branch."""
        return Exported(self.online.trunk.state_dict(), self.online.head)
