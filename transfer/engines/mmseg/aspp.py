"""The segmentation heads that MMSegmentation lacks, by MMSegmentation's own classes."""

from typing import Any

import torch
from torch import Tensor, nn

from transfer.engines.mmseg.model import PYRAMID_HEAD


def register_heads() -> None:
    """Enter DeepLabV3's head as Detectron2 has it (`detectron2/layers/aspp.py`) into MMSegmentation's table.

    It differs from MMSegmentation's in three points: the convolution after the pyramid is 1 × 1, the pooled branch has a bias
    and no norm, and it pools over windows as large as a training crop, also where an image is larger.
    NOTE: over the whole image where that is smaller; Detectron2 refuses such images.
    """
    from mmcv.cnn import ConvModule
    from mmseg.models.decode_heads import ASPPHead
    from mmseg.registry import MODELS

    if PYRAMID_HEAD in MODELS.module_dict:
        return

    class PublishedASPPHead(ASPPHead):  # type: ignore[misc]  # MMSegmentation ships no types
        def __init__(self, window: tuple[int, int], **named: Any) -> None:
            super().__init__(**named)
            self.window = window
            self.image_pool = ConvModule(self.in_channels, self.channels, 1, act_cfg=self.act_cfg)
            joined = (len(self.dilations) + 1) * self.channels
            self.bottleneck = ConvModule(joined, self.channels, 1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

        def init_weights(self) -> None:
            super().init_weights()
            for conv in (module for module in self.modules() if isinstance(module, nn.Conv2d) and module is not self.conv_seg):
                nn.init.kaiming_uniform_(conv.weight, a=1)  # Caffe2's Xavier

        def _forward_feature(self, inputs: list[Tensor]) -> Tensor:
            x: Tensor = self._transform_inputs(inputs)
            size = x.shape[2:]
            window = [min(sides) for sides in zip(self.window, size, strict=True)]
            pooled = self.image_pool(nn.functional.avg_pool2d(x, window, stride=1))
            pooled = nn.functional.interpolate(pooled, size=size, mode="bilinear", align_corners=False)
            joined: Tensor = self.bottleneck(torch.cat([*self.aspp_modules(x), pooled], dim=1))
            return joined

    MODELS.register_module(module=PublishedASPPHead)
