"""S-MoCo v2+ (Huang et al. 2022, arXiv:2208.00275; megvii-research/revisitAIRL @7afeb02, exp/moco_based/mcv2p_symmlp.py):
MoCo v2+ whose two branches are alike."""

from typing import ClassVar, Literal

from torch import nn

from pretrain.methods.mocov2plus import MoCoV2Plus
from pretrain.parts.heads import mlp


class SMoCoV2Plus(MoCoV2Plus):
    """MoCo v2+ with projector and predictor in both branches, as one head, and without the predictor's asymmetry."""

    called: ClassVar[str] = "S-MoCo v2+"
    about: ClassVar[str] = "MoCo v2+ with both branches alike"
    source: ClassVar[str] = "arXiv:2208.00275; megvii-research/revisitAIRL @7afeb02, exp/moco_based/mcv2p_symmlp.py"

    predicts: ClassVar[bool] = False

    name: Literal["smocov2plus"] = "smocov2plus"  # type: ignore[assignment]

    def projector(self, width: int) -> nn.Module:
        """Build both perceptrons as one head; their last layers have no bias."""
        inner, outer = (width, self.hidden, self.feature_dim), (self.feature_dim, self.hidden, self.feature_dim)
        return nn.Sequential(*mlp(inner, norm="bn", out_bias=False), *mlp(outer, norm="bn", out_bias=False))

    def predictor(self) -> nn.Module | None:
        """Return none."""
        return None
