"""The C4 detector: regions are pooled from the stride-16 map, and the backbone's last stage runs on each of them.

As MoCo fine-tunes it: nothing is frozen, every BN layer is trained, and one more BN layer follows the last stage
(facebookresearch/moco, `detection/train_net.py`, Res5ROIHeadsExtraNorm).
"""

from collections.abc import Mapping

import torchvision
from torch import Tensor, nn

from pretrain.backbones import get
from transfer.engines.torchvision.body import LAYERS, Body
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.heads import BoxHead, MaskHead
from transfer.engines.torchvision.pooling import pool
from transfer.engines.torchvision.rpn import RPN
from transfer.sources.recipe import USUAL, Recipe
from transfer.tasks.detection import DetectionSettings

STRIDE = 16
"""Pixels per cell of layer3's map."""
LAST_STAGE = "layer4."


class C4(Detector):
    """Faster R-CNN, or Mask R-CNN where masks are asked for."""

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
        channels = resnet.fc.in_features
        self.body, self.res5, self.norm = Body(resnet, LAYERS[:-1]), resnet.layer4, nn.BatchNorm2d(channels)
        self.rpn = RPN(channels // 2, (settings.anchor_sizes,), (STRIDE,), settings)
        self.box = BoxHead(channels, classes)
        self.mask = MaskHead(channels, classes) if settings.masks else None

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Load every tensor of a canonical backbone."""
        last = {key.removeprefix(LAST_STAGE): value for key, value in state.items() if key.startswith(LAST_STAGE)}
        self.body.load_state_dict({key: value for key, value in state.items() if not key.startswith(LAST_STAGE)}, strict=True)
        self.res5.load_state_dict(last, strict=True)

    def backbone_state(self) -> dict[str, Tensor]:
        """Return the backbone's tensors under canonical names."""
        return self.body.state_dict() | {LAST_STAGE + key: value for key, value in self.res5.state_dict().items()}

    def backbone_features(self, images: Tensor) -> list[Tensor]:
        """Compute layer1 to layer4 by this detector's own modules, from normalised images (N, 3, H, W)."""
        maps = self.body(images)
        return [*maps, self.res5(maps[-1])]

    def maps(self, images: Tensor) -> list[Tensor]:
        """Compute layer3's map from normalised images (N, 3, H, W)."""
        return [self.body(images)[-1]]

    def box_features(self, maps: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the means over the last stage's cells (R, C), and the cells, from which masks are predicted, too."""
        features = self.mask_features(maps, boxes)
        return features.mean(dim=(2, 3)), features

    def mask_features(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        """Run the last stage on each region: (R, C, side, side)."""
        features: Tensor = self.norm(self.res5(pool(maps, (STRIDE,), boxes, self.settings.roi_resolution)))
        return features
