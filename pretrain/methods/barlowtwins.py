"""Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230; facebookresearch/barlowtwins @8e8d284, main.py)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from pretrain.batch import Batch
from pretrain.learner import Exported, Learner, Losses
from pretrain.losses.decorrelation import cross_correlation, redundancy
from pretrain.methods import BLUR, Method, Shape, Statistics
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import told_apart
from pretrain.parts.heads import mlp
from pretrain.recipe import Recipe

WHOLE_BATCH = "its loss compares batches as wholes, and has no target for a single image of which a blend could be a part"


class BarlowTwins(Method):
    """The correlation of two views' features over a batch is to be the identity.

    The rate of biases and norms is the code's, .0048 where that of weights is .2; the paper folds a scale of the loss into it.
    """

    called: ClassVar[str] = "Barlow Twins"
    about: ClassVar[str] = "correlation of two views becomes the identity"
    source: ClassVar[str] = "arXiv:2103.03230; facebookresearch/barlowtwins @8e8d284"
    departs: ClassVar[tuple[str, ...]] = (
        "the rate of biases and norms is the code's .0048; the paper folds a scale of the loss into it",
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
            "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False, "lr_factor": 0.024}],
            "schedule": {"per": "step", "warmup_epochs": 10},
            "pipeline": "byol-bicubic",
        }
    )
    small: ClassVar[Mapping[str, Any]] = {
        "bn_splits": 1, "hidden": 512, "feature_dim": 512, "groups": [{"match": "vectors", "weight_decay": 0}],
    }  # fmt: skip
    # The published rate of norms is LARS's: under AdamW the residual blocks, which begin as the identity, would stay it.
    statistics: ClassVar[Statistics | None] = Statistics(2048, "synchronised")
    refuses_blends: ClassVar[str] = WHOLE_BATCH

    name: Literal["barlowtwins"] = "barlowtwins"
    hidden: int = Field(8192, ge=1)
    """Width of the projector's two hidden layers."""
    feature_dim: int = Field(8192, ge=2)
    """Length of embeddings."""
    off_diagonal: float = Field(0.0051, ge=0)
    """Weight λ of the correlations of different features."""
    gradient: Literal["published", "exact"] = "published"
    """On several processes: the published code's gradient is that of one process divided by the processes."""
    zero_init_residual: bool = True
    """Whether residual blocks begin as the identity."""

    def apart(self, processes: int, labelled: float) -> Mapping[str, str]:
        """See `Method`."""
        return {"gradient": f"1/{processes} of one process's"} if self.gradient == "published" and processes > 1 else {}

    def learner(self, shape: Shape) -> "Twins":
        """Build the branch."""
        return Twins(self, shape)


class Twins(Learner):
    """The learner of Barlow Twins."""

    def __init__(self, method: BarlowTwins, shape: Shape) -> None:
        super().__init__()
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        if method.zero_init_residual:
            shape.architecture.zero_init_residual(trunk)
        widths = (last.in_features, method.hidden, method.hidden, method.feature_dim)
        head = mlp(widths, bias=False, norm="bn", out_bias=False)
        self.online = Branch(trunk, head, splits=shape.splits, bf16=shape.bf16)
        self.normalise = nn.BatchNorm1d(method.feature_dim, affine=False)
        self.method = method

    def forward(self, batch: Batch) -> Losses:
        """Compare the correlation of both views' features with the identity."""
        first, second = (self.online(view.images) for view in batch.views)
        exact = self.method.gradient == "exact"
        correlation = cross_correlation(*(self.online.through(self.normalise, each) for each in (first, second)), exact=exact)
        diagonal, rest = redundancy(correlation)
        terms: dict[str, Tensor] = {"invariance": diagonal, "redundancy": self.method.off_diagonal * rest}
        return Losses(terms, {**told_apart(first, second), **{name: term.detach() for name, term in terms.items()}})

    def export(self) -> Exported:
        """Return the branch."""
        return Exported(self.online.trunk.state_dict(), self.online.head)
