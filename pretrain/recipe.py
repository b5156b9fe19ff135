"""How a method is trained, apart from what it is: length, batch, optimiser, learning rate, decay, base pipelines."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from pretrain import optimizers
from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings
from pretrain.optimizers import SGD, Optimizer
from pretrain.schedule import ENDLESS, Schedule

if TYPE_CHECKING:
    from torch import nn

    from pretrain.augment.pipelines import Pipeline

VECTORS = "vectors"
"""Matches the parameters of one dimension: biases, and scales and shifts of norms."""


def _read_optimizer(value: Any) -> Any:
    """Read an optimiser from its name, or from a mapping with its name and its fields."""
    if isinstance(value, str):
        return optimizers.get(value).read({})
    if isinstance(value, Mapping):
        return optimizers.get(str(value.get("name", "sgd"))).read(value, where="recipe.optimizer")
    return value


def _read_schedule(value: Any) -> Any:
    """Read a schedule from its shape alone, or from a mapping of its fields."""
    if isinstance(value, str):
        return Schedule.read({"shape": value}, where="recipe.schedule")
    return Schedule.read(value, where="recipe.schedule") if isinstance(value, Mapping) else value


class Group(Settings):
    """Parameters that are trained differently from the others."""

    match: str
    """`vectors`, or a pattern of parameter names such as `predictor.*`; the first group that matches takes a parameter."""
    weight_decay: float | None = Field(None, ge=0)
    """Their weight decay; null for the recipe's."""
    lr_factor: float = Field(1.0, gt=0)
    """What the learning rate is multiplied with."""
    lr_fixed: bool = False
    """Whether their learning rate stays at its start (SimSiam's predictor)."""
    adapt: bool = True
    """Whether a layer-wise optimiser adapts their learning rate."""

    def takes(self, name: str, dimensions: int) -> bool:
        """Return whether a parameter of that name and number of dimensions belongs to this group."""
        return dimensions <= 1 if self.match == VECTORS else fnmatchcase(name, self.match)


class Recipe(Settings):
    """How a run trains. The defaults are MoCo v2's as published; a method's own start from its `recipe`."""

    epochs: int = Field(200, ge=1)
    """Passes over the training images."""
    batch: int = Field(256, ge=2)
    """Images per step, all processes together."""
    base_lr: float = Field(0.03, gt=0)
    """Learning rate at a batch of 256; scaled linearly with the batch (arXiv:1706.02677)."""
    end_lr: float = Field(0.0, ge=0)
    """Learning rate at the end, as a fraction of the one at the start."""
    schedule: Annotated[Schedule, BeforeValidator(_read_schedule)] = Schedule()
    """How the learning rate goes from start to end: `cosine`, `step`, ..., or a mapping of a schedule's fields."""
    optimizer: Annotated[SerializeAsAny[Optimizer], BeforeValidator(_read_optimizer)] = SGD()
    """`sgd`, `adamw` or `lars`, or a mapping of its name and its fields."""
    weight_decay: float = Field(1e-4, ge=0)
    """Weight decay of all parameters but those of `groups`; MoCo's biases and norms decay too."""
    end_weight_decay: float | None = Field(None, ge=0)
    """Weight decay at the end, reached along half a cosine of the steps; null: it stays."""
    groups: tuple[Group, ...] = ()
    """Parameters with a decay, adaptation or learning rate of their own."""
    pipeline: str = "mocov2"
    """Base pipeline: a name of `pretrain.augment.pipelines.PIPELINES`."""
    pipeline_options: dict[str, Any] = Field(default_factory=dict)
    """Fields of the base pipeline that differ from it, for all views."""
    key_pipeline_options: dict[str, Any] = Field(default_factory=dict)
    """Fields that differ for the second view alone; they have the last word there."""

    @model_validator(mode="after")
    def _effective(self) -> Self:
        warmup, shape = self.schedule.warmup_epochs, self.schedule.shape
        if 0 < self.epochs <= warmup:
            raise ValueError(f"a warm-up of {warmup:g} epochs leaves none of {self.epochs}; lower schedule.warmup_epochs")
        if self.end_lr and shape in ENDLESS:
            raise ValueError(
                f"end_lr ({self.end_lr:g}) has no effect on a schedule {shape!r}; drop it, or use cosine or linear"
            )
        return self

    @property
    def lr(self) -> float:
        """Learning rate at the start, at this batch."""
        return self.base_lr * self.batch / 256

    def pipelines(self) -> "tuple[Pipeline, Pipeline]":
        """Return the base pipelines of the first and of the second view, with their options.

        Raises:
            ConfigError: For an unknown pipeline, option or value.
        """
        from pretrain.augment import pipelines  # imports torch, which reading a help text does without

        first, second = (one.replace(self.pipeline_options, where="pipeline_options") for one in pipelines.pair(self.pipeline))
        return first, second.replace(self.key_pipeline_options, where="key_pipeline_options")

    def parameter_groups(self, parameters: Iterable[tuple[str, "nn.Parameter"]]) -> list[dict[str, Any]]:
        """Sort named parameters into the optimiser's groups, the plain one first.

        Raises:
            ConfigError: If one of `groups` gets no parameter.
        """
        plain = Group(match="*")
        members: dict[Group, list[nn.Parameter]] = {group: [] for group in (plain, *self.groups)}
        named = list(parameters)
        for name, parameter in named:
            members[next((group for group in self.groups if group.takes(name, parameter.dim())), plain)].append(parameter)
        for group in self.groups:
            if not members[group]:
                raise _takes_nothing(group, [name for name, _ in named])
        return [
            {
                "params": found,
                "lr": self.lr * group.lr_factor,
                "weight_decay": self.weight_decay if group.weight_decay is None else group.weight_decay,
                "adapt": group.adapt,
                "lr_factor": group.lr_factor,
                "lr_fixed": group.lr_fixed,
                "decays": group.weight_decay is None,
            }
            for group, found in members.items()
            if found
        ]

    def build_optimizer(self, parameters: Iterable[tuple[str, "nn.Parameter"]]) -> Any:
        """Make the optimiser of named parameters."""
        return self.optimizer.build(self.parameter_groups(parameters))

    def lr_at(self, **progress: int) -> float:
        """Return the learning rate before a step (facebookresearch/moco @7397dfe, main_moco.py, adjust_learning_rate)."""
        return self.schedule.value(self.lr, self.end_lr * self.lr, **progress)

    def weight_decay_at(self, **progress: int) -> float:
        """Return the weight decay before a step."""
        if self.end_weight_decay is None:
            return self.weight_decay
        return Schedule(per="step").value(self.weight_decay, self.end_weight_decay, **progress)

    def schedule_optimizer(self, optimizer: Any, **progress: int) -> float:
        """Set the optimiser's learning rates and decays for a step; returns the plain learning rate."""
        lr, decay = self.lr_at(**progress), self.weight_decay_at(**progress)
        for group in optimizer.param_groups:
            group["lr"] = (self.lr if group["lr_fixed"] else lr) * group["lr_factor"]
            if group["decays"]:
                group["weight_decay"] = decay
        return lr


def _takes_nothing(group: Group, names: list[str]) -> ConfigError:
    matched = [name for name in names if fnmatchcase(name, group.match)]
    examples = [
        min((name for name in names if name.startswith(f"{first}.")), default=first)
        for first in dict.fromkeys(name.partition(".")[0] for name in names)
    ]
    seen = f"match: {group.match}" + (f"; an earlier group takes {', '.join(matched[:3])}" if matched else "")
    allowed = f"{VECTORS}, or a pattern of names such as {', '.join(examples)}"
    return ConfigError("a group of the recipe has no parameters", seen=seen, allowed=allowed, fix="correct or drop the group")
