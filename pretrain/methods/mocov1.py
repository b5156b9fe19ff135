"""MoCo v1 (He et al. 2019, arXiv:1911.05722; facebookresearch/moco @7397dfe, README): MoCo v2 with one linear layer as head,
a lower temperature, a learning rate in steps, and weaker augmentation.

Published: linear top-1 60.8 ± 0.2 over 5 runs (the repository's README).
"""

from typing import ClassVar, Literal

from pydantic import Field

from pretrain.methods.mocov2 import MoCoV2
from pretrain.recipe import Recipe


class MoCoV1(MoCoV2):
    """MoCo with the settings of its first paper."""

    called: ClassVar[str] = "MoCo v1"
    about: ClassVar[str] = "MoCo v2 with one linear layer as head"
    source: ClassVar[str] = "arXiv:1911.05722; facebookresearch/moco @7397dfe"
    departs: ClassVar[tuple[str, ...]] = ()
    recipe: ClassVar[Recipe] = Recipe.read({"schedule": "step", "pipeline": "mocov1"})

    name: Literal["mocov1"] = "mocov1"  # type: ignore[assignment]
    temperature: float = Field(0.07, gt=0)
    """Softmax temperature."""
    projector: Literal["linear", "mlp"] = "linear"
    """Head on the backbone: one layer, or MoCo v2's two."""
