"""BYOL trained with LARS under the same recipe (megvii-research/revisitAIRL @7afeb02, exp/byol_based/byol_lars.py)."""

from typing import ClassVar, Literal

from pretrain.methods.byol_sgd import ByolSgd, warm
from pretrain.recipe import Recipe

LARGE = {
    "base_lr": 0.3,
    "weight_decay": 1e-6,
    "optimizer": {"name": "lars", "form": "revisitairl"},
    "groups": [{"match": "vectors", "weight_decay": 0, "adapt": False}],
    "schedule": warm(0.3),
}
"""What the LARS variants of this family change; the rate is that of 200 and 300 epochs, and .45 for 100."""


class ByolLars(ByolSgd):
    """BYOL-SGD with another optimiser."""

    called: ClassVar[str] = "BYOL-LARS"
    about: ClassVar[str] = "BYOL-SGD trained with LARS"
    source: ClassVar[str] = "megvii-research/revisitAIRL @7afeb02, exp/byol_based/byol_lars.py"
    departs: ClassVar[tuple[str, ...]] = ("the rate is that of 200 and 300 epochs; 100 epochs had .45",)
    recipe: ClassVar[Recipe] = Recipe.read({"pipeline": "revisitairl", **LARGE})

    name: Literal["byol-lars"] = "byol-lars"  # type: ignore[assignment]
