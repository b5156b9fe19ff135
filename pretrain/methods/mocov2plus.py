"""MoCo v2+ (Huang et al. 2022, arXiv:2208.00275; megvii-research/revisitAIRL @7afeb02, exp/mocov2_plus.py): MoCo v2 made
symmetric, with BYOL's projector, predictor and rising momentum."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch
from pretrain.core import distributed
from pretrain.learner import Losses
from pretrain.methods import Shape, Statistics
from pretrain.methods.byol_sgd import warm
from pretrain.multicrop import Predicting
from pretrain.parts.branch import Branch
from pretrain.parts.contrast import Contrast, LabelMode
from pretrain.parts.everyone import labels_of_all
from pretrain.parts.heads import mlp
from pretrain.parts.key_queue import KeyQueue, require_whole_batches
from pretrain.parts.target import MomentumTarget, rising
from pretrain.recipe import Recipe
from pretrain.siamese import Siamese


class MoCoV2Plus(Predicting):
    """Each view's query finds the other view's key among a queue of keys. A blend is as under MoCo v2's `i-mix`: every key of
    the batch is a candidate, and each source's key a target by its fraction.
    """

    called: ClassVar[str] = "MoCo v2+"
    about: ClassVar[str] = "MoCo v2 both ways, with BYOL's heads"
    source: ClassVar[str] = "arXiv:2208.00275; megvii-research/revisitAIRL @7afeb02, exp/mocov2_plus.py"
    departs: ClassVar[tuple[str, ...]] = ("the coin that says whose keys enter the queue is torch's, the code's is numpy's",)
    labels: ClassVar[Literal["unused", "optional", "required"]] = "optional"
    recipe: ClassVar[Recipe] = Recipe.read({"schedule": warm(0.03)})
    small: ClassVar[Mapping[str, Any]] = {"bn_splits": 1, "hidden": 512, "feature_dim": 128, "queue": 64, "fill_queue": True}
    statistics: ClassVar[Statistics | None] = Statistics(256, "synchronised")
    blending: ClassVar[frozenset[str]] = frozenset({"mixed_target"})

    name: Literal["mocov2plus"] = "mocov2plus"
    hidden: int = Field(4096, ge=1)
    """Hidden width of projector and predictor."""
    feature_dim: int = Field(256, ge=2)
    """Length of queries and keys."""
    queue: int = Field(65536, ge=2)
    """Length of the queue of keys."""
    fill_queue: bool = False
    """Fill the queue with keys before the first optimiser step, see MoCo v2's."""
    temperature: float = Field(0.2, gt=0)
    """Softmax temperature."""
    momentum: float = Field(0.99, ge=0, le=1)
    """Fraction of the key encoder kept at the first step; it rises to 1 along half a cosine."""
    label_mode: LabelMode = "positives"
    """What a key of the query's class is, see MoCo v2's."""
    mixed_target: Literal["i-mix", "none"] = "i-mix"
    """What a blended query is compared with, see MoCo v2's."""

    @property
    def folds(self) -> bool:
        """See `Method`."""
        return self.mixed_target == "i-mix"

    def check(self, batch: int) -> None:
        """Refuse a queue that whole batches don't fill, and small crops beside a predictor."""
        super().check(batch)
        require_whole_batches(self.queue, batch)

    def projector(self, width: int) -> nn.Module:
        """Build the projector: features (N, width) → (N, feature_dim)."""
        return mlp((width, self.hidden, self.feature_dim), norm="bn")

    def predictor(self) -> nn.Module | None:
        """Build the predictor of the queries' side; None: there is none."""
        return mlp((self.feature_dim, self.hidden, self.feature_dim), norm="bn")

    def learner(self, shape: Shape) -> "MoCoPlus":
        """Build both encoders and the queue."""
        return MoCoPlus(self, shape)


class MoCoPlus(Siamese):
    """The learner of MoCo v2+ and S-MoCo v2+."""

    def __init__(self, method: MoCoV2Plus, shape: Shape) -> None:
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        online = Branch(trunk, method.projector(last.in_features), splits=shape.splits, bf16=shape.bf16)
        super().__init__(online, predictor=method.predictor(), target=MomentumTarget(online))
        self.method = method
        self.queue = KeyQueue(method.feature_dim, method.queue)
        self.contrast = Contrast(method.temperature, method.label_mode, shape.labelled)
        self.filling_steps = method.queue // shape.batch if method.fill_queue else 0

    def fills(self, step: int) -> bool:
        """Return whether the queue still holds random vectors that are to be replaced first."""
        return step < self.filling_steps

    def compare(self, prediction: Tensor, target: Tensor, batch: Batch, view: int) -> Tensor:
        """Compute the contrastive loss."""
        seen = batch.views[view]
        blended = seen.sources is not None and self.method.mixed_target == "i-mix"
        queries, keys = F.normalize(prediction, dim=1), F.normalize(target, dim=1)
        known = seen if blended else Mixed(seen.images)
        among = (distributed.gather(keys), self._labels(batch)) if blended else None
        loss, _ = self.contrast(queries, keys, self.queue, known, batch.labels, among)
        return loss

    def after_step(self, batch: Batch, losses: Losses) -> None:
        """Enqueue the keys of one of the views, by a coin of each process, and move the key encoder."""
        keys = losses.carried["target 0" if torch.rand(()) < 0.5 else "target 1"]
        self.queue.enqueue(distributed.gather(F.normalize(keys, dim=1)), self._labels(batch))
        if not self.fills(batch.progress.step):
            assert self.target is not None
            self.target.move(self.online, rising(self.method.momentum, batch.progress, ahead=1))

    def _labels(self, batch: Batch) -> Tensor:
        return labels_of_all(batch.labels, used=self.contrast.labelled)
