"""SimCLR (Chen et al. 2020, arXiv:2002.05709; google-research/simclr @383d414, tf2/model.py, tf2/objective.py)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pretrain.batch import Batch
from pretrain.core import distributed
from pretrain.images.labels import UNLABELLED
from pretrain.learner import Exported, Learner, Losses
from pretrain.losses.blends import over_sources
from pretrain.losses.nt_xent import nt_xent
from pretrain.methods import Shape, Statistics
from pretrain.multicrop import WHOLE, MultiCrop
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import told_apart
from pretrain.parts.everyone import labels_of_all
from pretrain.parts.heads import mlp
from pretrain.recipe import Recipe


class SimCLR(MultiCrop):
    """Every view finds the other view of its image among all views of the batch; gradients go through both.

    With labels all views of a class are positives (SupCon's L_out), and an image without one has its own views alone. Blended
    first views are compared with the second views unblended, each source's view a target by its fraction: i-Mix's N-pair form
    (arXiv:2010.08887, section 3.2). Small crops are anchors only, whose candidates are the whole views.
    """

    called: ClassVar[str] = "SimCLR"
    about: ClassVar[str] = "each view finds the other in the batch"
    source: ClassVar[str] = "arXiv:2002.05709; google-research/simclr @383d414"
    departs: ClassVar[tuple[str, ...]] = (
        "images are normalised by mean and deviation; the code's are not",
        "the projector has the paper's two layers; the code's later default has three",
        "the loss is the code's, twice the paper's mean over all views",
        "decay is the paper's 1e-6; the command of the code's README has 1e-4",
        "a blur's kernel has the reach of its largest deviation; the code's is a tenth of the image",
    )
    labels: ClassVar[Literal["unused", "optional", "required"]] = "optional"
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 1000,
            "batch": 4096,
            "base_lr": 0.3,
            "weight_decay": 1e-6,
            "optimizer": {"name": "lars", "form": "simclr"},
            "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False}],
            "schedule": {"per": "step", "warmup_epochs": 10},
            "pipeline": "simclr",
        }
    )
    small: ClassVar[Mapping[str, Any]] = {"bn_splits": 1, "hidden": 512, "temperature": 0.5}
    statistics: ClassVar[Statistics | None] = Statistics(8192, "synchronised")
    together: ClassVar[int] = 2

    name: Literal["simclr"] = "simclr"
    hidden: int = Field(2048, ge=1)
    """Hidden width of the projector."""
    layers: int = Field(2, ge=2)
    """Layers of the projector: the paper's 2; the code's later default is 3."""
    feature_dim: int = Field(128, ge=2)
    """Length of projections."""
    temperature: float = Field(0.1, gt=0)
    """Softmax temperature; .5 is better on CIFAR-10 (the paper's appendix B.9)."""
    zero_init_residual: bool = True
    """Whether residual blocks begin as the identity."""

    def scale(self) -> float:
        """Return what the mean over all anchors is multiplied with: the code adds up the means of both views."""
        return 2.0

    def head(self, width: int) -> nn.Module:
        """Build the projector: features (N, width) → (N, feature_dim)."""
        widths = (width, *(self.hidden,) * (self.layers - 1), self.feature_dim)
        head = mlp(widths, bias=False, norm="bn", out_bias=False, out_norm="bn-scale")
        for layer in head:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
        return head

    def learner(self, shape: Shape) -> "Contrastive":
        """Build the branch."""
        return Contrastive(self, shape)


class Contrastive(Learner):
    """The learner of SimCLR and SupCon."""

    def __init__(self, method: SimCLR, shape: Shape) -> None:
        super().__init__()
        trunk, last = shape.architecture.build(method.feature_dim, stem=shape.stem, size=shape.size)
        if method.zero_init_residual:
            shape.architecture.zero_init_residual(trunk)
        self.online = Branch(trunk, method.head(last.in_features), splits=shape.splits, bf16=shape.bf16)
        self.method, self.labelled = method, shape.labelled

    def forward(self, batch: Batch) -> Losses:
        """Contrast the views; blended first views with the second views as they were."""
        blended = batch.views[0].sources is not None
        seen = [view.images for view in batch.views]
        if blended:
            seen[1] = batch.clean[1]
        projections = [F.normalize(each, dim=1) for each in self.online.by_size(seen)]
        losses = self._blended(projections, batch) if blended else self._plain(projections, batch.labels)
        return Losses({"contrast": self.method.scale() * losses.mean()}, told_apart(*projections[:WHOLE]))

    def _plain(self, projections: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Compute the losses of every view's anchors among both whole views of all images, themselves left out."""
        candidates = torch.cat([distributed.gather_with_gradient(each) for each in projections[:WHOLE]])
        everyone, images = labels_of_all(labels, used=self.labelled), len(labels)
        first = torch.arange(images, device=labels.device) + distributed.rank() * images
        same = self._positives(labels, everyone, first).repeat(1, WHOLE)
        losses = []
        for view, anchors in enumerate(projections):
            itself = first + view * len(everyone) if view < WHOLE else None
            losses.append(nt_xent(anchors, candidates, same, itself, temperature=self.method.temperature))
        return torch.cat(losses)

    def _blended(self, projections: Sequence[Tensor], batch: Batch) -> Tensor:
        """Compute the losses of blended first views and small crops among the second views of all images."""
        candidates = distributed.gather_with_gradient(projections[1])
        everyone = labels_of_all(batch.labels, used=self.labelled)
        first = distributed.rank() * len(batch.labels)
        losses = []
        for view in (0, *range(WHOLE, len(projections))):

            def of_source(source: Tensor, anchors: Tensor = projections[view]) -> Tensor:
                positives = self._positives(batch.labels[source], everyone, first + source)
                return nt_xent(anchors, candidates, positives, None, temperature=self.method.temperature)

            losses.append(over_sources(batch.views[view], of_source))
        return torch.cat(losses)

    def _positives(self, labels: Tensor, everyone: Tensor, own: Tensor) -> Tensor:
        """Tell (n, N) which images are positives: the own one, and those known to be of the same class."""
        same = (labels[:, None] == everyone) & (labels != UNLABELLED)[:, None]
        return same.scatter(1, own[:, None], value=True)

    def export(self) -> Exported:
        """Return the branch."""
        return Exported(self.online.trunk.state_dict(), self.online.head)
