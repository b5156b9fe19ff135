"""Learners that predict, from one view of an image, what a target says of another view: BYOL, SimSiam, MoCo v2+ and v3."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pretrain.batch import Batch
from pretrain.learner import Exported, Learner, Losses
from pretrain.multicrop import WHOLE
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import told_apart
from pretrain.parts.pairs import crossed
from pretrain.parts.target import MomentumTarget


class Siamese(Learner):
    """Compares the predictions of each view with the targets of the whole views but itself.

    The trained branch sees views after the augmentation; the target sees them before it, unless it is on both.
    """

    def __init__(self, online: Branch, *, predictor: nn.Module | None = None, target: MomentumTarget | None = None) -> None:
        """Join the parts.

        Args:
            online: The trained branch: images → projections (N, D).
            predictor: Projections → predictions (N, D); None: they are the same.
            target: Makes the targets; None: the trained branch itself does, without gradient.
        """
        super().__init__()
        self.online, self.target = online, target
        self.predictor = nn.Identity() if predictor is None else predictor

    @abstractmethod
    def compare(self, prediction: Tensor, target: Tensor, batch: Batch, view: int) -> Tensor:
        """Compute the mean loss of the predictions (N, D) of a view with the targets (N, D) of another; a scalar."""

    def reduced(self, losses: Sequence[Tensor]) -> Tensor:
        """Join the losses of all pairs of views: here their sum; with small crops, twice their mean, as for two views."""
        return torch.stack(list(losses)).mean() * WHOLE

    def forward(self, batch: Batch) -> Losses:
        """Compare every view with the targets of the others."""
        seen = [view.images for view in batch.views]
        projections = [*map(self.online, seen[:WHOLE]), *self.online.by_size(seen[WHOLE:])]
        predictions = [self.online.through(self.predictor, each) for each in projections]
        targets = self.targets(batch, projections)
        pairs = crossed(len(predictions), WHOLE)
        losses = [self.compare(predictions[view], targets[target], batch, view) for view, target in pairs]
        carried = {f"target {index}": target for index, target in enumerate(targets)}
        return Losses({"loss": self.reduced(losses)}, told_apart(*projections[:WHOLE]), carried)

    @torch.no_grad()
    def targets(self, batch: Batch, projections: Sequence[Tensor]) -> list[Tensor]:
        """Return the targets (N, D) of the whole views; shared weights make a pass only where the target sees other images."""
        wanted = batch.targets[:WHOLE]
        if self.target is not None:
            return [self.target(images) for images in wanted]
        if all(view.images is images for view, images in zip(batch.views, wanted, strict=False)):
            return [projection.detach() for projection in projections[:WHOLE]]
        return [self.online(images) for images in wanted]

    def export(self) -> Exported:
        """Return the trained branch; the predictor is left."""
        return Exported(self.online.trunk.state_dict(), self.online.head)
