"""Cross-entropy on the labels through the same data path: the baseline of every table.

Learning rate 0.1 per 256 images and weight decay 1e-4 (megvii-research/revisitAIRL @7afeb02, exp/supervised).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from pretrain.augment.asking import Asked
from pretrain.batch import Batch, View
from pretrain.learner import Exported, Losses, MapsClasses
from pretrain.losses.cross_entropy import cross_entropy
from pretrain.methods import Method, Shape, Statistics
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import spread
from pretrain.recipe import Recipe


class Supervised(Method):
    """A classifier on the backbone learns the labels of one view of each image."""

    called: ClassVar[str] = "Supervised"
    about: ClassVar[str] = "cross-entropy on the labels"
    source: ClassVar[str] = "megvii-research/revisitAIRL @7afeb02"
    departs: ClassVar[tuple[str, ...]] = (
        "images pass MoCo v2's pipeline, so that a table's rows share it; classifiers are published with crops and flips alone",
    )
    version: ClassVar[int] = 2
    labels: ClassVar[Literal["unused", "optional", "required"]] = "required"
    recipe: ClassVar[Recipe] = Recipe.read({"base_lr": 0.1})
    defaults: ClassVar[Mapping[str, Any]] = {"supervision": "full"}
    statistics: ClassVar[Statistics | None] = Statistics(32, "parts")  # 256 images on 8 GPUs
    answers: ClassVar[frozenset[Asked]] = frozenset({"saliency", "class activation"})
    blending: ClassVar[frozenset[str]] = frozenset({"mixed_target"})

    name: Literal["supervised"] = "supervised"
    mixed_target: Literal["i-mix", "none"] = "i-mix"
    """What a blended image is: `i-mix`: of each source's class by its fraction, as CutMix and MixUp are published; `none`: of
    its own class, whatever was blended in. An image's own fraction is as drawn in both, below a half too, as published."""

    def views(self, recipe: Recipe, size: int) -> tuple[View, ...]:
        """Declare the one view, by the first pipeline."""
        return (View("query", recipe.pipelines()[0], size, "online"),)

    def apart(self, processes: int, labelled: float) -> Mapping[str, str]:
        """See `Method`."""
        return {"loss": "the mean of each process's labelled images"} if processes > 1 and 0 < labelled < 1 else {}

    def learner(self, shape: Shape) -> "Classifier":
        """Build the network with a linear classifier."""
        return Classifier(self, shape)


class Classifier(MapsClasses):
    """A network with one output for each class."""

    def __init__(self, method: Supervised, shape: Shape) -> None:
        super().__init__()
        self.blends = method.mixed_target != "none"
        trunk, linear = shape.architecture.build(shape.classes, stem=shape.stem, size=shape.size)
        self.architecture = shape.architecture
        self.query = Branch(trunk, linear, splits=shape.splits, bf16=shape.bf16)

    def forward(self, batch: Batch) -> Losses:
        """Classify the labelled images; a batch without any gives a loss of 0 that moves nothing."""
        (view,) = batch.views
        outputs = self.query(view.images)
        loss, accuracy = cross_entropy(outputs, view, batch.labels, blends=self.blends)
        return Losses({"cross-entropy": loss}, {"accuracy": accuracy, **spread(outputs)})

    def class_maps(self, images: Tensor, labels: Tensor) -> Tensor:
        """See `MapsClasses`: the last feature map's channels by their weights in the output of the class (arXiv:1512.04150)."""
        maps = self.query.through(lambda part: self.architecture.maps(self.query.trunk, part)[-1], images)
        assert isinstance(self.query.head, nn.Linear)
        return torch.einsum("nchw,nc->nhw", maps, self.query.head.weight[labels])

    def export(self) -> Exported:
        """Return the trunk; the classifier is no projector."""
        return Exported(self.query.trunk.state_dict(), None)
