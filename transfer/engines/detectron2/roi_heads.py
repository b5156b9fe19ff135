"""The detection heads that Detectron2 lacks, by Detectron2's own classes."""

from typing import Any

from torch import nn

from transfer.engines.detectron2.config import EXTRA_NORM_HEADS

BASIC_BLOCKS = {18: 2, 34: 3}
"""Depth of a ResNet → number of basic blocks in its last stage."""


def register_heads() -> None:
    """Enter MoCo's C4 heads into Detectron2's table: an extra norm after res5, and a res5 for ResNet-18 and 34, too."""
    from detectron2.layers import get_norm
    from detectron2.modeling import ROI_HEADS_REGISTRY
    from detectron2.modeling.backbone.resnet import BasicBlock, ResNet
    from detectron2.modeling.roi_heads import Res5ROIHeads

    if EXTRA_NORM_HEADS in ROI_HEADS_REGISTRY:
        return

    class Res5ROIHeadsExtraNorm(Res5ROIHeads):  # type: ignore[misc]  # Detectron2 ships no types
        def __init__(self, cfg: Any, input_shape: Any) -> None:
            super().__init__(cfg, input_shape)
            self.res5.add_module("norm", get_norm(cfg.MODEL.RESNETS.NORM, self.res5[-1].out_channels))

        @classmethod
        def _build_res5_block(cls, cfg: Any) -> tuple[nn.Module, int]:
            nets = cfg.MODEL.RESNETS
            if nets.DEPTH not in BASIC_BLOCKS:
                return super()._build_res5_block(cfg)
            count, channels = BASIC_BLOCKS[nets.DEPTH], 8 * nets.RES2_OUT_CHANNELS
            strides = [2] + [1] * (count - 1)
            sides = {"in_channels": channels // 2, "out_channels": channels}
            blocks = ResNet.make_stage(BasicBlock, count, stride_per_block=strides, norm=nets.NORM, **sides)
            return nn.Sequential(*blocks), channels

    ROI_HEADS_REGISTRY.register(Res5ROIHeadsExtraNorm)
