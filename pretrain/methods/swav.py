"""SwAV (Caron et al. 2020, arXiv:2006.09882; facebookresearch/swav @06b1b7c, main_swav.py, src/resnet50.py)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pretrain.batch import Batch, Progress
from pretrain.core import distributed
from pretrain.learner import Exported, Learner, Losses
from pretrain.losses.assignment import cross_entropy_of_shares, sinkhorn
from pretrain.losses.blends import over_sources
from pretrain.methods import BLUR, Shape, Statistics, Targets
from pretrain.multicrop import WHOLE, MultiCrop
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import told_apart
from pretrain.parts.heads import Prototypes, mlp
from pretrain.parts.key_queue import require_whole_batches
from pretrain.parts.pairs import crossed
from pretrain.recipe import Recipe


class SwAV(MultiCrop):
    """Every crop predicts to which prototypes the other whole views are assigned, all prototypes alike often.

    The recipe is that of a batch of 4096; `swav-256` is the one of 256 with a queue. A blend predicts the assignments of its
    sources by their fractions, which is this project's own reading: no paper has blends for SwAV.
    """

    called: ClassVar[str] = "SwAV"
    about: ClassVar[str] = "crops predict each other's prototypes"
    source: ClassVar[str] = "arXiv:2006.09882; facebookresearch/swav @06b1b7c"
    departs: ClassVar[tuple[str, ...]] = (
        "the first channel is normalised by a deviation of .229, as everywhere; the code has .228",
        "blends predict their sources' assignments by fractions: this project's reading, no paper has them",
        BLUR,
    )
    labels: ClassVar[Literal["unused", "optional", "required"]] = "unused"
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 800,
            "batch": 4096,
            "base_lr": 0.3,
            "end_lr": 0.001,
            "weight_decay": 1e-6,
            "optimizer": {"name": "lars", "form": "larc"},
            "schedule": {"per": "step", "warmup_epochs": 10, "warmup_from": 0.0625, "warmup_arrives": "within"},
            "pipeline": "swav",
        }
    )
    small: ClassVar[Mapping[str, Any]] = {
        "bn_splits": 1, "hidden": 512, "prototypes": 256, "freeze_steps": 50, "local_views": 0, "local_size": 16,
    }  # fmt: skip
    statistics: ClassVar[Statistics | None] = Statistics(8192, "synchronised")
    together: ClassVar[int] = 2
    targets: ClassVar[Targets] = "shared"

    name: Literal["swav"] = "swav"
    local_views: int = Field(6, ge=0)
    """Small crops of each image, beside the whole views."""
    hidden: int = Field(2048, ge=1)
    """Hidden width of the projector."""
    feature_dim: int = Field(128, ge=2)
    """Length of embeddings."""
    prototypes: int = Field(3000, ge=2)
    """Prototypes that images are assigned to."""
    temperature: float = Field(0.1, gt=0)
    """Softmax temperature of the predictions."""
    epsilon: float = Field(0.05, gt=0)
    """Temperature of the assignments; .03 where the loss stays at the logarithm of the prototypes (the code's README)."""
    iterations: int = Field(3, ge=1)
    """Iterations of the assignment (Sinkhorn-Knopp)."""
    queue: int = Field(0, ge=0)
    """Embeddings of former batches that are assigned together with a batch, for small batches; 0: none."""
    queue_epoch: int = Field(15, ge=0)
    """Epoch from which on the queue is filled; it is used once it is full."""
    freeze_steps: int = Field(313, ge=0)
    """First steps in which the prototypes stay as drawn: one epoch of the published batch."""

    def check(self, batch: int) -> None:
        """Refuse a queue that whole batches don't fill."""
        require_whole_batches(self.queue, batch)

    def learner(self, shape: Shape) -> "Swapped":
        """Build the branch, the prototypes and the queue."""
        return Swapped(self, shape)


class Swapped(Learner):
    """The learner of SwAV."""

    queue: Tensor
    filled: Tensor

    def __init__(self, method: SwAV, shape: Shape) -> None:
        super().__init__()
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        head = mlp((last.in_features, method.hidden, method.feature_dim), norm="bn")
        self.online = Branch(trunk, head, splits=shape.splits, bf16=shape.bf16)
        self.prototypes = Prototypes(method.feature_dim, method.prototypes)
        self.method = method
        batches = method.queue // shape.batch
        self.register_buffer("queue", torch.zeros(WHOLE, batches, shape.batch, method.feature_dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self._filled: int | None = None
        self.register_load_state_dict_post_hook(_forget)

    def before_forward(self, progress: Progress) -> None:
        """Bring the prototypes to unit length."""
        self.prototypes.to_unit_length()

    def forward(self, batch: Batch) -> Losses:
        """Predict the assignments of the whole views from every other view."""
        embeddings = self._embeddings([view.images for view in batch.views])
        scores = [self.prototypes(each) for each in embeddings]
        with torch.no_grad():
            wanted = batch.targets[:WHOLE]
            same = all(view.images is images for view, images in zip(batch.views, wanted, strict=False))
            assigned = embeddings[:WHOLE] if same else self._embeddings(wanted)
            shares = [self._assignment(index, each) for index, each in enumerate(assigned)]
        temperature = self.method.temperature
        losses = []
        for view, target in crossed(len(scores), WHOLE):
            mine, theirs = scores[view], shares[target]

            def of_source(source: Tensor, mine: Tensor = mine, theirs: Tensor = theirs) -> Tensor:
                return cross_entropy_of_shares(mine, theirs[source], temperature=temperature)

            losses.append(over_sources(batch.views[view], of_source).mean())
        carried = {f"target {index}": F.normalize(each.detach(), dim=1) for index, each in enumerate(assigned)}
        return Losses({"loss": torch.stack(losses).mean()}, self._logged(embeddings, shares[0]), carried)

    def after_backward(self, progress: Progress) -> None:
        """Keep the prototypes as drawn in the first steps."""
        if progress.step < self.method.freeze_steps:
            self.prototypes.weight.grad = None

    def after_step(self, batch: Batch, losses: Losses) -> None:
        """Put the embeddings of all processes at the front of the queue, from its epoch on."""
        if self.queue.numel() and batch.progress.epoch >= self.method.queue_epoch:
            new = torch.stack([distributed.gather(losses.carried[f"target {index}"]) for index in range(WHOLE)])
            self.queue.copy_(torch.cat([new[:, None], self.queue[:, :-1]], dim=1))
            self._filled = self._batches() + 1
            self.filled.fill_(self._filled)

    def export(self) -> Exported:
        """Return the branch; the prototypes are left."""
        return Exported(self.online.trunk.state_dict(), self.online.head)

    def _batches(self) -> int:
        """Return how many batches the queue has taken; read from the device once, and not in every step."""
        if self._filled is None:
            self._filled = int(self.filled)
        return self._filled

    def _embeddings(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Embed views (N, 3, S, S) as (N, D): the trunk each size by itself, the head all together."""
        return self.online.project_together(self.online.features_by_size(views))

    def _assignment(self, view: int, embeddings: Tensor) -> Tensor:
        """Assign a whole view's embeddings (n, D) to prototypes (n, K), together with this process's part of the queue."""
        images, scores = len(embeddings), self.prototypes(embeddings)
        if self.queue.numel() and self._batches() >= self.queue.shape[1]:
            mine = slice(distributed.rank() * images, (distributed.rank() + 1) * images)
            scores = torch.cat([self.prototypes(self.queue[view, :, mine].flatten(0, 1)), scores])
        return sinkhorn(scores, epsilon=self.method.epsilon, iterations=self.method.iterations)[-images:]

    def _logged(self, embeddings: Sequence[Tensor], shares: Tensor) -> dict[str, Tensor]:
        """Say how images spread over prototypes: the entropy of the mean assignment, at most ln K, and the share in use."""
        mean = shares.mean(dim=0)
        used = torch.zeros_like(mean).scatter_(0, shares.argmax(dim=1), 1.0).sum() / min(shares.shape)
        entropy = -(mean * mean.clamp(min=1e-12).log()).sum()
        return {**told_apart(*embeddings[:WHOLE]), "assignment_entropy": entropy, "prototypes_used": used}


def _forget(learner: nn.Module, _: Any) -> None:
    """Forget the number of a queue that was overwritten by a saved one."""
    assert isinstance(learner, Swapped)
    learner._filled = None
