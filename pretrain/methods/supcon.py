"""Supervised contrastive learning (Khosla et al. 2020, arXiv:2004.11362; HobbitLong/SupContrast @66a8fe5, losses.py)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from pretrain.methods import Statistics
from pretrain.methods.simclr import SimCLR
from pretrain.parts.heads import mlp
from pretrain.recipe import Recipe

BASE_TEMPERATURE = 0.07
"""The temperature that the code divides its loss's factor by, whatever the temperature."""


class SupCon(SimCLR):
    """SimCLR whose positives are all views of the class, with the published code's recipe for images of 32 pixels.

    The loss is multiplied with temperature / .07, as in the code; the paper multiplies with the temperature alone.
    """

    called: ClassVar[str] = "SupCon"
    about: ClassVar[str] = "SimCLR whose positives are all of a class"
    source: ClassVar[str] = "arXiv:2004.11362; HobbitLong/SupContrast @66a8fe5"
    departs: ClassVar[tuple[str, ...]] = (
        "the loss is multiplied with temperature / .07, as in the code; the paper multiplies with the temperature alone",
        "the schedule counts epochs from 0, its warm-up too; the code counts from 1, and its warm-up rises with every step",
        "images are normalised by ImageNet's mean and deviation; the code has the data set's own",
    )
    version: ClassVar[int] = 2
    labels: ClassVar[Literal["unused", "optional", "required"]] = "required"
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 1000,
            "batch": 1024,
            "base_lr": 0.125,
            "end_lr": 0.001,
            "pipeline": "supcon",
            "schedule": {"warmup_epochs": 10, "warmup_from": 0.02},  # from .01 to .5
        }
    )
    defaults: ClassVar[Mapping[str, Any]] = {"supervision": "full"}
    statistics: ClassVar[Statistics | None] = Statistics(2048, "whole batch")

    name: Literal["supcon"] = "supcon"  # type: ignore[assignment]
    hidden: int = Field(2048, ge=1)
    """Hidden width of the projector; the backbone's own in the code."""
    zero_init_residual: bool = False
    """Whether residual blocks begin as the identity."""

    def scale(self) -> float:
        """See SimCLR."""
        return self.temperature / BASE_TEMPERATURE

    def head(self, width: int) -> nn.Module:
        """Build the projector, without norms."""
        return mlp((width, *(self.hidden,) * (self.layers - 1), self.feature_dim))
