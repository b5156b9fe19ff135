"""The second stage: classes, boxes and masks of regions (`modeling/roi_heads/fast_rcnn.py`, `mask_head.py`)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from transfer.engines.torchvision import boxes as box_ops
from transfer.engines.torchvision.rpn import Size, Target
from transfer.tasks.detection import DetectionSettings

OBJECT_FROM = 0.5
"""Overlap from which a proposal counts as its object."""
NMS_OVERLAP = 0.5
CLASS_STD, BOX_STD, MASK_STD = 0.01, 0.001, 0.001
"""Standard deviations of the initial weights."""
MASK_CHANNELS = 256


@dataclass(frozen=True)
class Regions:
    """The regions of one image that are sampled for training."""

    boxes: Tensor
    """Boxes (R, 4)."""
    labels: Tensor
    """Classes (R,), K for background."""
    objects: Tensor
    """Index (R,) of the object that each overlaps most; meaningless where there is none."""
    aims: Tensor
    """That object's box (R, 4)."""


@dataclass(frozen=True)
class Detections:
    """The detections in one image, best first, before they are mapped to its file."""

    boxes: Tensor
    """Boxes (R, 4), in pixels of the image that the detector saw."""
    scores: Tensor
    """Scores (R,), 0 to 1."""
    labels: Tensor
    """Classes (R,)."""
    masks: Tensor | None = None
    """Probabilities (R, side, side) that a cell of the box belongs to the object."""


@torch.no_grad()
def draw(proposals: Tensor, target: Target, classes: int, settings: DetectionSettings, generator: torch.Generator) -> Regions:
    """Sample regions of one image from its proposals and its true boxes."""
    boxes = torch.cat([proposals, target.boxes])
    index, matched = box_ops.match(box_ops.overlap(target.boxes, boxes), OBJECT_FROM, OBJECT_FROM)
    if len(target.boxes) == 0:
        labels, aims = torch.full_like(index, classes), boxes
    else:
        labels = torch.where(matched == 1, target.labels[index], classes)
        aims = target.boxes[index]
    kept = torch.cat(box_ops.sample(labels, settings.rois, settings.object_share, classes, generator))
    return Regions(boxes[kept], labels[kept], index[kept], aims[kept])


class BoxHead(nn.Module):
    """The head that predicts class scores and one box per class from a region's feature vector."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.scores = nn.Linear(channels, classes + 1)
        self.offsets = nn.Linear(channels, classes * 4)
        for layer, std in ((self.scores, CLASS_STD), (self.offsets, BOX_STD)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Map vectors (R, C) to class logits (R, K + 1), background last, and offsets (R, K, 4)."""
        return self.scores(vectors), self.offsets(vectors).view(-1, self.classes, 4)

    def losses(self, logits: Tensor, offsets: Tensor, regions: list[Regions]) -> dict[str, Tensor]:
        """Compute `cls`, a mean over regions, and `box_reg`, L1 over the objects divided by the number of all regions."""
        labels = torch.cat([each.labels for each in regions])
        objects = torch.nonzero(labels < self.classes).squeeze(1)
        boxes = torch.cat([each.boxes for each in regions])[objects]
        aims = box_ops.encode(boxes, torch.cat([each.aims for each in regions])[objects], box_ops.BOX_WEIGHTS)
        located = (offsets[objects, labels[objects]] - aims).abs().sum()
        return {"cls": F.cross_entropy(logits, labels), "box_reg": located / max(len(labels), 1)}

    def detect(self, logits: Tensor, offsets: Tensor, proposals: Tensor, size: Size, threshold: float, keep: int) -> Detections:
        """Select the detections among one image's proposals (R, 4)."""
        scores = logits.softmax(dim=-1)
        boxes = box_ops.decode(offsets, proposals, box_ops.BOX_WEIGHTS)
        finite = torch.isfinite(boxes).flatten(1).all(dim=1) & torch.isfinite(scores).all(dim=1)
        scores, boxes = scores[finite, :-1], box_ops.clip(boxes[finite], size)
        region, label = torch.nonzero(scores > threshold, as_tuple=True)
        boxes, scores = boxes[region, label], scores[region, label]
        kept = batched_nms(boxes, scores, label, NMS_OVERLAP)[:keep]
        return Detections(boxes[kept], scores[kept], label[kept])


class MaskHead(nn.Module):
    """The head that predicts one mask per class from a region's features, twice as fine as they are."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, MASK_CHANNELS, 2, stride=2)
        self.predict = nn.Conv2d(MASK_CHANNELS, classes, 1)
        nn.init.kaiming_normal_(self.upsample.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.predict.weight, std=MASK_STD)
        for layer in (self.upsample, self.predict):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map features (R, C, s, s) and classes (R,) to the logits of those classes' masks, (R, 2s, 2s)."""
        logits = self.predict(F.relu(self.upsample(features)))
        chosen: Tensor = logits[torch.arange(len(labels), device=labels.device), labels]
        return chosen

    @staticmethod
    def loss(logits: Tensor, truth: Tensor) -> Tensor:
        """Compute cross-entropy of logits (R, s, s) against masks (R, s, s) of 0 and 1, the mean over cells."""
        return F.binary_cross_entropy_with_logits(logits, truth)
