"""What every kind of detector has: how images go in, the two stages, the losses, and what the engine asks of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pretrain.core import distributed
from pretrain.images.normalise import IMAGENET, Input
from transfer.detection import masks as mask_ops
from transfer.engines.torchvision.data import Sample
from transfer.engines.torchvision.heads import BoxHead, Detections, MaskHead, Regions, draw
from transfer.engines.torchvision.rpn import RPN, Size
from transfer.tasks.detection import DetectionSettings


class Detector(nn.Module, ABC):
    """A detector of K classes on a torchvision ResNet; all of it is trained."""

    DIVISOR: ClassVar[int] = 1
    """The sides of a batch are padded to multiples of this."""

    pixel_mean: Tensor
    pixel_std: Tensor
    rpn: RPN
    box: BoxHead
    mask: MaskHead | None

    def __init__(self, classes: int, settings: DetectionSettings, seen: Input = IMAGENET) -> None:
        super().__init__()
        self.classes, self.settings, self.seen = classes, settings, seen
        self.register_buffer("pixel_mean", torch.tensor(seen.pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(seen.pixel_std).view(-1, 1, 1), persistent=False)

    @abstractmethod
    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Load every tensor of a canonical backbone."""

    @abstractmethod
    def backbone_state(self) -> dict[str, Tensor]:
        """Return the backbone's tensors under canonical names."""

    @abstractmethod
    def backbone_features(self, images: Tensor) -> list[Tensor]:
        """Compute layer1 to layer4 by this detector's own modules, from normalised images (N, 3, H, W)."""

    @abstractmethod
    def maps(self, images: Tensor) -> list[Tensor]:
        """Compute the maps for anchors and regions from normalised images (N, 3, H, W), the finest map first."""

    @abstractmethod
    def box_features(self, maps: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Compute vectors (R, C) for the box head; and (R, C, side, side) if masks are predicted from the same pass."""

    @abstractmethod
    def mask_features(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        """Compute the mask head's input of regions, (R, C, side, side)."""

    def forward(self, samples: Sequence[Sample], generator: torch.Generator) -> dict[str, Tensor]:
        """Compute the losses, by the one method that torch's DistributedDataParallel wraps."""
        return self.losses(samples, generator)

    def losses(self, samples: Sequence[Sample], generator: torch.Generator) -> dict[str, Tensor]:
        """Compute the losses of a batch, whose sum is trained on; `generator` samples anchors and regions."""
        images, sizes = self.batch([sample.image for sample in samples])
        targets = [sample.target for sample in samples]
        maps = self.maps(images)
        seen = self.rpn(maps)
        losses: dict[str, Tensor] = self.rpn.losses(seen, targets, generator)
        pairs = zip(self.rpn.proposals(seen, sizes), targets, strict=True)
        regions = [draw(boxes, target, self.classes, self.settings, generator) for boxes, target in pairs]
        vectors, shared = self.box_features(maps, [each.boxes for each in regions])
        logits, offsets = self.box(vectors)
        losses |= self.box.losses(logits, offsets, regions)
        if self.mask is not None:
            losses["mask"] = self._mask_loss(self.mask, maps, shared, samples, regions)
        return losses

    @torch.no_grad()
    def detect(self, images: Sequence[Tensor]) -> list[Detections]:
        """Detect in images (3, height, width) of uint8."""
        batch, sizes = self.batch(images)
        maps = self.maps(batch)
        proposals = self.rpn.proposals(self.rpn(maps), sizes)
        logits, offsets = self.box(self.box_features(maps, proposals)[0])
        counts = [len(boxes) for boxes in proposals]
        limits = (self.settings.score_threshold, self.settings.detections_per_image)
        parts = zip(logits.split(counts), offsets.split(counts), proposals, sizes, strict=True)
        found = [self.box.detect(*part, *limits) for part in parts]
        return self._with_masks(self.mask, maps, found) if self.mask is not None else found

    def _mask_loss(
        self, head: MaskHead, maps: list[Tensor], shared: Tensor | None, samples: Sequence[Sample], regions: list[Regions]
    ) -> Tensor:
        """Compute the loss of the regions that are objects.

        It is 0 without any, and then nothing else runs: an empty batch has no statistics.

        NOTE: of several processes one without objects sends one region through, whose loss is 0: the others average their
        gradients and statistics with it.
        """
        objects = [each.labels < self.classes for each in regions]
        present = any(bool(each.any()) for each in objects)
        if not present and distributed.world() == 1:
            return maps[0].sum() * 0
        if not present:
            objects[0][0] = True
        pairs = list(zip(regions, objects, strict=True))
        boxes = [each.boxes[kept] for each, kept in pairs]
        features = self.mask_features(maps, boxes) if shared is None else shared[torch.cat(objects)]
        logits = head(features, torch.cat([each.labels[kept] for each, kept in pairs]).clamp(max=self.classes - 1))
        if not present:
            return logits.sum() * 0
        truth = []
        for sample, (each, kept), cut in zip(samples, pairs, boxes, strict=True):
            masks = [sample.masks[index] for index in each.objects[kept].tolist()]
            truth.append(mask_ops.crop(masks, cut, logits.shape[-1]))
        return head.loss(logits, torch.cat(truth))

    def _with_masks(self, head: MaskHead, maps: list[Tensor], found: list[Detections]) -> list[Detections]:
        features = self.mask_features(maps, [each.boxes for each in found])
        masks = head(features, torch.cat([each.labels for each in found])).sigmoid()
        parts = masks.split([len(each.boxes) for each in found])
        return [Detections(each.boxes, each.scores, each.labels, part) for each, part in zip(found, parts, strict=True)]

    @property
    def device(self) -> torch.device:
        """Return the device the detector is on."""
        return self.pixel_mean.device

    def batch(self, images: Sequence[Tensor]) -> tuple[Tensor, list[Size]]:
        """Put images (3, H, W) of uint8, normalised, in the corner of one tensor, 0 elsewhere; returns it and their sizes."""
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        height, width = (-(-max(side) // self.DIVISOR) * self.DIVISOR for side in zip(*sizes, strict=True))
        batch = self.pixel_mean.new_zeros((len(images), 3, height, width))
        for place, image in zip(batch, images, strict=True):
            ordered = image.to(batch.device)[list(self.seen.channels)] if self.seen.order == "BGR" else image.to(batch.device)
            normalised = (ordered - self.pixel_mean) / self.pixel_std
            place[:, : image.shape[1], : image.shape[2]] = normalised
        return batch, sizes
