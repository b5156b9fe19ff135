"""BYOL as published (Grill et al. 2020, arXiv:2006.07733; google-deepmind/deepmind-research @f5de0ed, byol/configs/byol.py)."""

from typing import ClassVar, Literal

from pydantic import Field

from pretrain.methods import Shape, Statistics
from pretrain.methods.byol_sgd import Byol, ByolSgd
from pretrain.recipe import Recipe


class BYOL(ByolSgd):
    """BYOL with LARS and a batch of 4096, 1000 epochs. Shorter published runs have other values: 300 epochs rate .3, decay 1e-6
    and momentum .99; 100 epochs rate .45; see `bench ls configs`.

    The target starts as another random draw, which its paper doesn't say and its code does.
    """

    called: ClassVar[str] = "BYOL"
    about: ClassVar[str] = "a predictor meets a moving average; LARS"
    source: ClassVar[str] = "arXiv:2006.07733; google-deepmind/deepmind-research @f5de0ed, byol"
    departs: ClassVar[tuple[str, ...]] = (
        "brightness is multiplied and contrast blended over the whole image; the code adds the one and blends by channel",
        "borders are reflected before a blur; the code's are black",
        "the classifier that the code trains beside it, on features without gradient, is left to the probes",
    )
    recipe: ClassVar[Recipe] = Recipe.read(
        {
            "epochs": 1000,
            "batch": 4096,
            "base_lr": 0.2,
            "weight_decay": 1.5e-6,
            "optimizer": "lars",
            "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False}],
            "pipeline": "byol-bicubic",
            "schedule": {"per": "step", "warmup_epochs": 10},
        }
    )
    statistics: ClassVar[Statistics | None] = Statistics(4096, "synchronised")

    name: Literal["byol"] = "byol"  # type: ignore[assignment]
    momentum: float = Field(0.996, ge=0, le=1)
    """Fraction of the target kept at the first step; it rises to 1 along half a cosine."""

    def learner(self, shape: Shape) -> "Byol":
        """Build branch, predictor and target; last layers have no bias."""
        return ByolFromZero(self, shape, out_bias=False, fresh=True)


class ByolFromZero(Byol):
    """BYOL whose target's momentum is that of the step just done, counted from 0."""

    counts_from = 0
