"""The FPN detector: every stage of the backbone feeds a pyramid, and small heads run on regions cut from it.

The 4conv1fc family: four convolutions and one linear layer before the box head, four convolutions before the mask head,
and BN in the backbone, the pyramid and both heads, all of it trained (megvii-research/revisitAIRL, `det/Base-RCNN-FPN.yaml`;
HobbitLong/PyContrast, `R_50_FPN_1x.yaml`). Detectron2's own FPN recipe, two linear layers and no norm there, is another
protocol.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

import torchvision
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from pretrain.backbones import get
from transfer.engines.torchvision.body import LAYERS, Body
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.heads import BoxHead, MaskHead
from transfer.engines.torchvision.pooling import pool
from transfer.engines.torchvision.rpn import RPN
from transfer.sources.recipe import USUAL, Recipe
from transfer.tasks.detection import DetectionSettings

STRIDES = (4, 8, 16, 32, 64)
"""Pixels per cell of the pyramid's maps; regions are cut from all but the last."""
CHANNELS = 256
"""Channels of the pyramid and of the heads' convolutions."""
CONVOLUTIONS = 4
"""Convolutions in each head."""
VECTOR = 1024
"""Width of the box head's linear layer."""
MASK_SIDE = 2
"""Side of the mask head's regions, in sides of the box head's: 14 and 7 cells."""


class FPN(Detector):
    """Mask R-CNN on a feature pyramid, or Faster R-CNN where no masks are asked for."""

    DIVISOR: ClassVar[int] = 32

    def __init__(self, arch: str, classes: int, settings: DetectionSettings, backbone: Recipe = USUAL) -> None:
        """Build with random weights.

        Args:
            arch: A torchvision ResNet.
            classes: K.
            settings: The recipe of the training.
            backbone: What the ResNet sees, and which of its convolutions are strided.
        """
        super().__init__(classes, settings, backbone.seen)
        resnet = getattr(torchvision.models, arch)()
        get(arch).adapt(resnet, backbone.variant)
        widths = [resnet.fc.in_features // 2**halvings for halvings in (3, 2, 1, 0)]
        self.body = Body(resnet)
        self.pyramid = FeaturePyramidNetwork(widths, CHANNELS, LastLevelMaxPool(), nn.BatchNorm2d)
        self.rpn = RPN(CHANNELS, tuple((size,) for size in settings.anchor_sizes), STRIDES, settings)
        side = settings.roi_resolution
        self.box_body = FastRCNNConvFCHead((CHANNELS, side, side), [CHANNELS] * CONVOLUTIONS, [VECTOR], nn.BatchNorm2d)
        for layer in self.box_body:
            if isinstance(layer, nn.Linear):  # the one layer that torchvision initialises in another way
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(layer.bias)
        self.box = BoxHead(VECTOR, classes)
        self.mask_body = MaskRCNNHeads(CHANNELS, [CHANNELS] * CONVOLUTIONS, 1, nn.BatchNorm2d) if settings.masks else None
        self.mask = MaskHead(CHANNELS, classes) if settings.masks else None

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Load every tensor of a canonical backbone."""
        self.body.load_state_dict(state, strict=True)

    def backbone_state(self) -> dict[str, Tensor]:
        """Return the backbone's tensors under canonical names."""
        return self.body.state_dict()

    def backbone_features(self, images: Tensor) -> list[Tensor]:
        """Compute layer1 to layer4 by this detector's own modules, from normalised images (N, 3, H, W)."""
        return list(self.body(images))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Compute the pyramid's five maps from normalised images (N, 3, H, W)."""
        named = OrderedDict(zip(LAYERS, self.body(images), strict=True))
        return list(self.pyramid(named).values())

    def box_features(self, maps: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, None]:
        """Compute vectors (R, `VECTOR`)."""
        return self.box_body(pool(maps[:-1], STRIDES[:-1], boxes, self.settings.roi_resolution)), None

    def mask_features(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        """Compute features (R, `CHANNELS`, side, side)."""
        assert self.mask_body is not None, "asked for only where there is a mask head"
        side = MASK_SIDE * self.settings.roi_resolution
        features: Tensor = self.mask_body(pool(maps[:-1], STRIDES[:-1], boxes, side))
        return features
