"""The C4 detector: regions are pooled from the stride-16 map, and the backbone's last stage runs on each of them.

As MoCo fine-tunes it: nothing is frozen, every BN layer is trained, and one more BN layer follows the last stage
(facebookresearch/moco, `detection/train_net.py`, Res5ROIHeadsExtraNorm).
"""

from collections.abc import Mapping, Sequence

import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops import roi_align

from transfer.engines.rcnn import masks as mask_ops
from transfer.engines.rcnn.data import Sample
from transfer.engines.rcnn.detector import Detector
from transfer.engines.rcnn.heads import BoxHead, Detections, MaskHead, Regions, draw
from transfer.engines.rcnn.rpn import RPN
from transfer.tasks.detection import DetectionSettings

STRIDE = 16
"""Pixels per cell of layer3's map."""
LAST_STAGE = "layer4."


class Body(nn.Module):
    """A torchvision ResNet up to layer3, under torchvision's names."""

    def __init__(self, resnet: torchvision.models.ResNet) -> None:
        super().__init__()
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.relu, self.maxpool = resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3 = resnet.layer1, resnet.layer2, resnet.layer3

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W), normalised → the outputs of layer1 to layer3."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
            maps.append(x)
        return maps


class C4(Detector):
    """Faster R-CNN, or Mask R-CNN where masks are asked for."""

    def __init__(self, arch: str, classes: int, settings: DetectionSettings) -> None:
        """Build with random weights.

        Args:
            arch: A torchvision ResNet; its 3x3 convolutions carry the strides (Detectron2: `STRIDE_IN_1X1 False`).
            classes: K.
            settings: The recipe.
        """
        super().__init__(classes, settings)
        resnet = getattr(torchvision.models, arch)()
        channels = resnet.fc.in_features
        self.body, self.res5, self.norm = Body(resnet), resnet.layer4, nn.BatchNorm2d(channels)
        self.rpn = RPN(channels // 2, (settings.anchor_sizes,), (STRIDE,), settings)
        self.box = BoxHead(channels, classes)
        self.mask = MaskHead(channels, classes) if settings.masks else None

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Load a canonical backbone, every tensor of it."""
        last = {key.removeprefix(LAST_STAGE): value for key, value in state.items() if key.startswith(LAST_STAGE)}
        self.body.load_state_dict({key: value for key, value in state.items() if not key.startswith(LAST_STAGE)}, strict=True)
        self.res5.load_state_dict(last, strict=True)

    def backbone_state(self) -> dict[str, Tensor]:
        """The backbone's tensors under canonical names."""
        return self.body.state_dict() | {LAST_STAGE + key: value for key, value in self.res5.state_dict().items()}

    def backbone_features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W), normalised → layer1 to layer4, by this detector's own modules."""
        maps = self.body(images)
        return [*maps, self.res5(maps[-1])]

    def losses(self, samples: Sequence[Sample], generator: torch.Generator) -> dict[str, Tensor]:
        """The losses of a batch, whose sum is trained on; `generator` samples anchors and regions."""
        images, sizes = self.batch([sample.image for sample in samples])
        targets = [sample.target for sample in samples]
        shared = self.body(images)[-1]
        seen = self.rpn([shared])
        losses = self.rpn.losses(seen, targets, generator)
        proposals = self.rpn.proposals(seen, sizes)
        pairs = zip(proposals, targets, strict=True)
        regions = [draw(boxes, target, self.classes, self.settings, generator) for boxes, target in pairs]
        features = self._pooled(shared, [each.boxes for each in regions])
        scores, moves = self.box(features.mean(dim=(2, 3)))
        losses |= self.box.losses(scores, moves, regions)
        if self.mask is not None:
            losses["mask"] = self._mask_loss(self.mask, features, samples, regions)
        return losses

    @torch.no_grad()
    def detect(self, images: Sequence[Tensor]) -> list[Detections]:
        """What is in images (3, height, width) of uint8."""
        batch, sizes = self.batch(images)
        shared = self.body(batch)[-1]
        proposals = self.rpn.proposals(self.rpn([shared]), sizes)
        logits, offsets = self.box(self._pooled(shared, proposals).mean(dim=(2, 3)))
        counts = [len(boxes) for boxes in proposals]
        limits = (self.settings.score_threshold, self.settings.detections_per_image)
        parts = zip(logits.split(counts), offsets.split(counts), proposals, sizes, strict=True)
        found = [self.box.detect(*part, *limits) for part in parts]
        return self._with_masks(self.mask, shared, found) if self.mask is not None else found

    def _pooled(self, shared: Tensor, boxes: list[Tensor]) -> Tensor:
        """The last stage on each region: (R, C, side, side), one pass for the box and the mask head."""
        side = self.settings.roi_resolution
        regions = roi_align(shared, boxes, side, spatial_scale=1 / STRIDE, sampling_ratio=0, aligned=True)
        features: Tensor = self.norm(self.res5(regions))
        return features

    @staticmethod
    def _mask_loss(head: MaskHead, features: Tensor, samples: Sequence[Sample], regions: list[Regions]) -> Tensor:
        classes = head.predict.out_channels
        objects = [each.labels < classes for each in regions]
        labels = torch.cat([each.labels[kept] for each, kept in zip(regions, objects, strict=True)])
        logits = head(features[torch.cat(objects)], labels)
        truth = []
        for sample, each, kept in zip(samples, regions, objects, strict=True):
            masks = [sample.masks[index] for index in each.objects[kept].tolist()]
            truth.append(mask_ops.crop(masks, each.boxes[kept], logits.shape[-1]))
        return head.loss(logits, torch.cat(truth))

    def _with_masks(self, head: MaskHead, shared: Tensor, found: list[Detections]) -> list[Detections]:
        features = self._pooled(shared, [each.boxes for each in found])
        masks = head(features, torch.cat([each.labels for each in found])).sigmoid()
        parts = masks.split([len(each.boxes) for each in found])
        return [Detections(each.boxes, each.scores, each.labels, part) for each, part in zip(found, parts, strict=True)]
