"""MoCo v3 (Chen, Xie and He 2021, arXiv:2104.02057; facebookresearch/moco-v3 @c349e6e, main_moco.py, moco/builder.py)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pretrain.batch import Batch, Progress
from pretrain.core import distributed
from pretrain.losses.blends import over_sources
from pretrain.methods import BLUR, Shape, Statistics
from pretrain.multicrop import Predicting
from pretrain.parts.branch import Branch
from pretrain.parts.heads import mlp
from pretrain.parts.target import MomentumTarget, rising
from pretrain.recipe import Recipe
from pretrain.siamese import Siamese


class MoCoV3(Predicting):
    """Each view's query finds the other view's key among the keys of the batch; a predictor, a moving average, no queue.

    The recipe is the code's for ResNet-50 and 100 epochs; 300 and 1000 have rate .3, and 1000 decay 1.5e-6 and momentum .996.
    The configuration `mocov3-vits` is that of ViT-S. A blend's targets are its sources' keys by their fractions, as in i-Mix.
    """

    called: ClassVar[str] = "MoCo v3"
    about: ClassVar[str] = "both ways among the batch's keys, no queue"
    source: ClassVar[str] = "arXiv:2104.02057; facebookresearch/moco-v3 @c349e6e"
    departs: ClassVar[tuple[str, ...]] = (
        "the recipe is the code's; the paper's runs on TPUs have rate .3, decay 1.5e-6, momentum .996 and crops from .08",
        BLUR,
    )
    labels: ClassVar[Literal["unused", "optional", "required"]] = "unused"
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 100,
            "batch": 4096,
            "base_lr": 0.6,
            "weight_decay": 1e-6,
            "optimizer": "lars",
            "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False}],
            "schedule": {"per": "step", "warmup_epochs": 10},
            "pipeline": "mocov3",
        }
    )
    small: ClassVar[Mapping[str, Any]] = {"bn_splits": 1, "hidden": 512, "feature_dim": 128, "temperature": 0.2}
    statistics: ClassVar[Statistics | None] = Statistics(4096, "synchronised")

    name: Literal["mocov3"] = "mocov3"
    hidden: int = Field(4096, ge=1)
    """Hidden width of projector and predictor."""
    feature_dim: int = Field(256, ge=2)
    """Length of queries and keys."""
    temperature: float = Field(1.0, gt=0)
    """Softmax temperature; the loss is multiplied with twice of it."""
    momentum: float = Field(0.99, ge=0, le=1)
    """Fraction of the key encoder kept at the first step; it rises to 1 along half a cosine."""
    zero_init_residual: bool = True
    """Whether residual blocks begin as the identity."""

    def learner(self, shape: Shape) -> "MoCo3":
        """Build both encoders and the predictor."""
        return MoCo3(self, shape)


class MoCo3(Siamese):
    """The learner of MoCo v3. A transformer's projector has one layer more, and its predictor a norm at its end."""

    def __init__(self, method: MoCoV3, shape: Shape) -> None:
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        if method.zero_init_residual:
            shape.architecture.zero_init_residual(trunk)
        transformer = shape.architecture.family == "vit"
        hidden, out = method.hidden, method.feature_dim
        widths = (last.in_features, *(hidden,) * (2 if transformer else 1), out)
        head = mlp(widths, bias=False, norm="bn", out_bias=False, out_norm="bn-plain")
        end: Literal["none", "bn-plain"] = "bn-plain" if transformer else "none"
        predictor = mlp((out, hidden, out), bias=False, norm="bn", out_bias=False, out_norm=end)
        online = Branch(trunk, head, splits=shape.splits, bf16=shape.bf16)
        super().__init__(online, predictor=predictor, target=MomentumTarget(online))
        self.method = method

    def before_forward(self, progress: Progress) -> None:
        """Move the key encoder before its pass, as published."""
        assert self.target is not None
        self.target.move(self.online, rising(self.method.momentum, progress))

    def compare(self, prediction: Tensor, target: Tensor, batch: Batch, view: int) -> Tensor:
        """Compute the cross-entropy of picking the own key among those of all processes, times twice the temperature."""
        temperature = self.method.temperature
        keys = distributed.gather(F.normalize(target, dim=1))
        logits = F.normalize(prediction, dim=1) @ keys.T / temperature
        first = distributed.rank() * len(prediction)
        losses = over_sources(batch.views[view], lambda source: F.cross_entropy(logits, first + source, reduction="none"))
        return losses.mean() * 2 * temperature
