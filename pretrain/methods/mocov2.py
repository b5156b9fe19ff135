"""MoCo v2 (Chen et al. 2020, arXiv:2003.04297; facebookresearch/moco @7397dfe, main_moco.py, moco/builder.py)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch, Progress, View
from pretrain.core import distributed
from pretrain.learner import Exported, Learner, Losses
from pretrain.methods import BLUR, Shape, Statistics, Targets
from pretrain.multicrop import MultiCrop
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import told_apart
from pretrain.parts.contrast import Contrast, LabelMode, MixedTarget
from pretrain.parts.everyone import labels_of_all
from pretrain.parts.heads import mlp
from pretrain.parts.key_queue import KeyQueue, require_whole_batches
from pretrain.parts.target import MomentumTarget
from pretrain.recipe import Recipe


class MoCoV2(MultiCrop):
    """A query encoder learns to find the key of the same image among a queue of others' keys."""

    called: ClassVar[str] = "MoCo v2"
    about: ClassVar[str] = "one view finds the other's key in a queue"
    source: ClassVar[str] = "arXiv:2003.04297; facebookresearch/moco @7397dfe"
    departs: ClassVar[tuple[str, ...]] = (BLUR,)
    version: ClassVar[int] = 2
    labels: ClassVar[Literal["unused", "optional", "required"]] = "optional"
    small: ClassVar[Mapping[str, Any]] = {"temperature": 0.1, "queue": 64, "fill_queue": True, "momentum": 0.99}
    # In a few hundred steps random vectors in the queue are not recovered from, and a long queue lets keys of the query's class
    # outvote its own key before classes are told apart.
    statistics: ClassVar[Statistics | None] = Statistics(32, "shuffled parts")  # 256 images on 8 GPUs
    targets: ClassVar[Targets] = "momentum"
    shuffles: ClassVar[bool] = True
    blending: ClassVar[frozenset[str]] = frozenset({"mixed_target"})

    name: Literal["mocov2"] = "mocov2"
    queue: int = Field(65536, ge=2)
    """Length of the queue of keys."""
    fill_queue: bool = False
    """Fill the queue with keys before the first optimiser step. The published queue starts as random vectors, easy
    negatives that push all features into one direction; long runs recover from it, runs of minutes don't."""
    temperature: float = Field(0.2, gt=0)
    """Softmax temperature."""
    momentum: float = Field(0.999, ge=0, le=1)
    """Fraction of the key encoder kept at each step."""
    projector: Literal["linear", "mlp"] = "mlp"
    """Head on the backbone: two layers, or MoCo v1's one."""
    feature_dim: int = Field(128, ge=2)
    """Length of queries and keys."""
    label_mode: LabelMode = "positives"
    """What a key of the query's class is: positives, mean-positives or drop-negatives. A positive, of which the least similar
    counts most (UniMoCo) or all alike (SupCon's L_out, as in SupMoCo); or no negative."""
    mixed_target: MixedTarget = "i-mix"
    """What a blended query is compared with. `i-mix`: all keys of the batch and the queue, each source's key a target by
    its fraction (arXiv:2010.08887); an image keeps at least half of its blend, λ ← max(λ, 1 − λ), as in kibok90/imix @d40fabe.
    `un-mix`: own key or partner's key against the queue, by their fractions, beside the loss of the query without the blend
    (arXiv:2003.05438); λ as drawn. `none`: its own key against the queue, whatever was blended in; λ as drawn."""

    @property
    def folds(self) -> bool:
        """See `Method`."""
        return self.mixed_target == "i-mix"

    @property
    def sees_unblended(self) -> bool:
        """See `Method`."""
        return self.mixed_target == "un-mix"

    def views(self, recipe: Recipe, size: int) -> tuple[View, ...]:
        """Declare a query, which is augmented, a key, and small crops, which are queries too."""
        query, key = recipe.pipelines()
        pair = View("query", query, size, "online"), View("key", key, size, "target")
        return pair + self.small_crops(query, size)

    def check(self, batch: int) -> None:
        """Refuse a queue that whole batches don't fill."""
        require_whole_batches(self.queue, batch)

    def learner(self, shape: Shape) -> "MoCo":
        """Build both encoders and the queue."""
        return MoCo(self, shape)


class MoCo(Learner):
    """The learner of MoCo v1 and v2."""

    def __init__(self, method: MoCoV2, shape: Shape) -> None:
        super().__init__()
        self.method = method
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        width = last.in_features
        head = last if method.projector == "linear" else mlp((width, width, method.feature_dim), last=last)
        self.query = Branch(trunk, head, splits=shape.splits, bf16=shape.bf16)
        self.key = MomentumTarget(self.query)
        self.queue = KeyQueue(method.feature_dim, method.queue)
        self.contrast = Contrast(method.temperature, method.label_mode, shape.labelled)
        self.filling_steps = method.queue // shape.batch if method.fill_queue else 0
        self.shuffled = not shape.synchronised and (shape.splits > 1 or distributed.world() > 1)

    def fills(self, step: int) -> bool:
        """Return whether the queue still holds random vectors that are to be replaced first."""
        return step < self.filling_steps

    def trains_on_clean(self) -> bool:
        """See `Learner`: Un-Mix does."""
        return self.method.mixed_target == "un-mix"

    def before_forward(self, progress: Progress) -> None:
        """Move the key encoder before its pass, as published."""
        self.key.move(self.query, self.method.momentum)

    def forward(self, batch: Batch) -> Losses:
        """Contrast each query with its key and the queue."""
        query, key, *crops = batch.views
        queries = F.normalize(self.query(query.images), dim=1)
        carried = self._keys(key.images, batch) if batch.before is None else batch.before.carried
        keys = distributed.mine(carried["keys"])
        blended = query.sources is not None and self.method.mixed_target != "none"
        among = (carried["keys"], carried["labels"]) if blended and self.method.mixed_target == "i-mix" else None
        seen = query if blended else Mixed(query.images)
        loss, accuracy = self.contrast(queries, keys, self.queue, seen, batch.labels, among)
        others = self._of_crops(crops, keys, batch.labels, among, blended=blended)
        loss = torch.stack([loss, *others]).mean() if others else loss
        terms = {"contrast": loss}
        if blended and self.method.mixed_target == "un-mix":
            plain, accuracy = self._without_blend(batch, keys)
            terms = {"contrast": plain, "mixed": loss}
        return Losses(terms, {"accuracy": accuracy, **told_apart(queries, keys)}, carried)

    def after_step(self, batch: Batch, losses: Losses) -> None:
        """Enqueue the keys once the gradients are taken."""
        self.queue.enqueue(losses.carried["keys"], losses.carried["labels"])

    def export(self) -> Exported:
        """Return the query encoder."""
        return Exported(self.query.trunk.state_dict(), self.query.head)

    def _of_crops(
        self, crops: Sequence[Mixed], keys: Tensor, labels: Tensor, among: tuple[Tensor, Tensor] | None, *, blended: bool
    ) -> list[Tensor]:
        """Contrast small crops, as further queries, with the same keys."""
        queries = [F.normalize(each, dim=1) for each in self.query.by_size([crop.images for crop in crops])]
        seen = [crop if blended else Mixed(crop.images) for crop in crops]
        pairs = zip(queries, seen, strict=True)
        return [self.contrast(q, keys, self.queue, crop, labels, among)[0] for q, crop in pairs]

    @torch.no_grad()
    def _keys(self, images: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Encode this process's images; returns the `keys` (N, D) of all processes, of unit length, and their `labels` (N,).

        Where batch statistics are those of a part of the batch, the parts are of shuffled images.
        """
        if self.shuffled:
            keys = distributed.unshuffled(self.key(distributed.shuffled(images, batch.order)), batch.order)
        else:
            keys = distributed.gather(self.key(images))
        return {"keys": F.normalize(keys, dim=1), "labels": labels_of_all(batch.labels, used=self.contrast.labelled)}

    def _without_blend(self, batch: Batch, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of the queries before they were blended (Un-Mix)."""
        if batch.before is not None:
            return batch.before.terms["contrast"], batch.before.diagnostics["accuracy"]
        clean = batch.clean[0]
        queries = F.normalize(self.query(clean), dim=1)
        return self.contrast(queries, keys, self.queue, Mixed(clean), batch.labels)
