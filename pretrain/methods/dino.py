"""DINO (Caron et al. 2021, arXiv:2104.14294; facebookresearch/dino @7c446df, main_dino.py, vision_transformer.py)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pretrain.batch import Batch, Progress, View
from pretrain.core import distributed
from pretrain.core.ranges import FractionRange
from pretrain.learner import Exported, Learner, Losses
from pretrain.losses.assignment import cross_entropy_of_shares
from pretrain.losses.blends import over_sources
from pretrain.methods import BLUR, Method, Shape, Statistics, Targets
from pretrain.multicrop import WHOLE, MultiCrop
from pretrain.parts.branch import Branch
from pretrain.parts.collapse import told_apart
from pretrain.parts.heads import mlp, weight_normalised
from pretrain.parts.pairs import crossed
from pretrain.parts.target import MomentumTarget, rising
from pretrain.recipe import Recipe


class DINO(MultiCrop):
    """A student predicts from every crop what its moving average, centred and sharpened, says of the other whole views.

    The recipe is the code's for ViT-S; `dino-r50` is that of ResNet-50. The paper's own runs (args.txt beside its files) have
    ten small crops, no clipping and a trained gain. A blend predicts its sources' targets by their fractions, which is this
    project's own reading: no paper has blends for DINO.
    """

    called: ClassVar[str] = "DINO"
    about: ClassVar[str] = "a student predicts its moving average"
    source: ClassVar[str] = "arXiv:2104.14294; facebookresearch/dino @7c446df"
    departs: ClassVar[tuple[str, ...]] = (
        "the recipe is the code's default for ViT-S; the paper's runs have ten small crops, no clipping and a trained gain",
        "blends predict their sources' targets by fractions: this project's reading, no paper has them",
        BLUR,
    )
    labels: ClassVar[Literal["unused", "optional", "required"]] = "unused"
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 100,
            "batch": 512,
            "base_lr": 5e-4,
            "end_lr": 0.001,
            "weight_decay": 0.04,
            "end_weight_decay": 0.4,
            "optimizer": "adamw",
            "groups": [{"match": "vectors", "weight_decay": 0}],
            "schedule": {"per": "step", "warmup_epochs": 10, "warmup_arrives": "within"},
            "pipeline": "byol-bicubic",
            "pipeline_options": {"crop_scale": [0.4, 1.0]},
        }
    )
    defaults: ClassVar[Mapping[str, Any]] = {"arch": "vit_small"}
    small: ClassVar[Mapping[str, Any]] = {
        "bn_splits": 1, "hidden": 512, "outputs": 1024, "local_views": 0, "local_size": 16, "momentum": 0.99, "norm": "bn",
    }  # fmt: skip
    statistics: ClassVar[Statistics | None] = Statistics(1024, "synchronised")
    together: ClassVar[int] = 2
    targets: ClassVar[Targets] = "momentum"

    name: Literal["dino"] = "dino"
    local_views: int = Field(8, ge=0)
    """Small crops of each image, beside the whole views."""
    local_scale: FractionRange = (0.05, 0.4)
    """Fraction of the image's area that a small crop keeps, drawn uniformly."""
    hidden: int = Field(2048, ge=1)
    """Width of the head's two hidden layers."""
    bottleneck: int = Field(256, ge=2)
    """Length of what is compared with the outputs' weights."""
    outputs: int = Field(65536, ge=2)
    """Outputs K of the head."""
    norm: Literal["none", "bn"] = "none"
    """Norms in the head; the paper's ResNet-50 has them."""
    trained_gain: bool = False
    """Whether the last layer's gains are trained."""
    student_temperature: float = Field(0.1, gt=0)
    """Softmax temperature of the student."""
    teacher_temperature: float = Field(0.04, gt=0)
    """Softmax temperature of the teacher."""
    teacher_temperature_start: float = Field(0.04, gt=0)
    """Softmax temperature of the teacher in the first epoch, from where it goes on a line."""
    teacher_temperature_epochs: int = Field(0, ge=0)
    """Epochs of that line."""
    centre_momentum: float = Field(0.9, ge=0, le=1)
    """Fraction of the centre kept at each step."""
    momentum: float = Field(0.996, ge=0, le=1)
    """Fraction of the teacher kept at the first step; it rises to 1 along half a cosine."""
    freeze_epochs: int = Field(1, ge=0)
    """First epochs in which the last layer stays as drawn."""
    clip: float = Field(3.0, ge=0)
    """Norm that each parameter's gradient is clipped to; 0: it isn't."""
    drop_path: float = Field(0.1, ge=0, lt=1)
    """Probability with which the student's last block is left out for an image, down to 0 at the first; transformers only."""

    def views(self, recipe: Recipe, size: int) -> tuple[View, ...]:
        """Declare two whole views, and small crops, blurred half of the time and never solarised."""
        first, _ = recipe.pipelines()
        local = first.replace({"blur": 0.5 if first.blur else 0.0, "solarize": 0.0})
        return Method.views(self, recipe, size) + self.small_crops(local, size)

    def teacher_at(self, epoch: int) -> float:
        """Return the teacher's temperature in an epoch."""
        epochs, start, end = self.teacher_temperature_epochs, self.teacher_temperature_start, self.teacher_temperature
        return end if epoch >= epochs else start + (end - start) * epoch / max(epochs - 1, 1)

    def learner(self, shape: Shape) -> "Distiller":
        """Build student, teacher and centre."""
        return Distiller(self, shape)


class DinoHead(nn.Module):
    """Features (N, F) → outputs (N, K): a perceptron, unit length, weight-normalised outputs."""

    def __init__(self, method: DINO, width: int) -> None:
        super().__init__()
        hidden = method.hidden
        self.mlp = mlp((width, hidden, hidden, method.bottleneck), norm=method.norm, activation="gelu")
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last = weight_normalised(method.bottleneck, method.outputs, trained_gain=method.trained_gain)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the outputs."""
        outputs: Tensor = self.last(F.normalize(self.mlp(features), dim=1))
        return outputs


class Distiller(Learner):
    """The learner of DINO."""

    centre: Tensor

    def __init__(self, method: DINO, shape: Shape) -> None:
        super().__init__()
        trunk, last = shape.architecture.build(1, stem=shape.stem, size=shape.size)
        self.online = Branch(trunk, DinoHead(method, last.in_features), splits=shape.splits, bf16=shape.bf16)
        self.target = MomentumTarget(self.online)
        shape.architecture.drop_paths(trunk, method.drop_path)  # the student's alone
        self.register_buffer("centre", torch.zeros(1, method.outputs))
        self.method = method

    def forward(self, batch: Batch) -> Losses:
        """Predict the teacher's outputs of the whole views from every other view."""
        method = self.method
        taught = self.target.together(batch.targets[:WHOLE])
        outputs = self.online.project_together(self.online.features_by_size([view.images for view in batch.views]))
        temperature = method.teacher_at(batch.progress.epoch)
        shares = [((each - self.centre) / temperature).softmax(dim=1) for each in taught]
        losses = []
        for view, target in crossed(len(outputs), WHOLE):
            mine, theirs = outputs[view], shares[target]

            def of_source(source: Tensor, mine: Tensor = mine, theirs: Tensor = theirs) -> Tensor:
                return cross_entropy_of_shares(mine, theirs[source], temperature=method.student_temperature)

            losses.append(over_sources(batch.views[view], of_source).mean())
        loss = torch.stack(losses).mean()
        entropy = -(shares[0] * shares[0].clamp(min=1e-12).log()).sum(dim=1).mean()
        logged = {"teacher_entropy": entropy, "divergence": loss.detach() - entropy, "centre_norm": self.centre.norm()}
        return Losses({"loss": loss}, {**told_apart(*outputs[:WHOLE]), **logged}, {"taught": torch.cat(taught)})

    def after_backward(self, progress: Progress) -> None:
        """Clip each parameter's gradient, and keep the last layer as drawn in the first epochs."""
        for _, parameter in self.trained():
            if self.method.clip and parameter.grad is not None:
                parameter.grad.mul_((self.method.clip / (parameter.grad.norm() + 1e-6)).clamp(max=1))
        if progress.epoch < self.method.freeze_epochs:
            head = self.online.head
            assert isinstance(head, DinoHead)
            for parameter in head.last.parameters():
                parameter.grad = None

    def after_step(self, batch: Batch, losses: Losses) -> None:
        """Move the centre by the teacher's outputs of all processes, and the teacher."""
        seen = distributed.mean(losses.carried["taught"].mean(dim=0, keepdim=True))
        kept = self.method.centre_momentum
        self.centre.mul_(kept).add_(seen * (1 - kept))
        self.target.move(self.online, rising(self.method.momentum, batch.progress))

    def export(self) -> Exported:
        """Return the teacher, which is what the authors publish and evaluate."""
        teacher = self.target.branch
        head = teacher.head
        assert isinstance(head, DinoHead)
        return Exported(teacher.trunk.state_dict(), head.mlp)
