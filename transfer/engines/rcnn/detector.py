"""What every detector family has: how images go in, and what the engine asks of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from transfer.engines.rcnn.data import Sample
from transfer.engines.rcnn.heads import Detections
from transfer.engines.rcnn.rpn import Size
from transfer.tasks.detection import DetectionSettings

PIXEL_MEAN = (123.675, 116.28, 103.53)
"""RGB, 0 to 255: ImageNet's."""
PIXEL_STD = (58.395, 57.12, 57.375)


class Detector(nn.Module, ABC):
    """A detector of K classes on a torchvision ResNet; all of it is trained."""

    DIVISOR: ClassVar[int] = 1
    """The sides of a batch are padded to multiples of this."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, classes: int, settings: DetectionSettings) -> None:
        super().__init__()
        self.classes, self.settings = classes, settings
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(-1, 1, 1), persistent=False)

    @abstractmethod
    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Load a canonical backbone, every tensor of it."""

    @abstractmethod
    def backbone_state(self) -> dict[str, Tensor]:
        """The backbone's tensors under canonical names."""

    @abstractmethod
    def backbone_features(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W), normalised → layer1 to layer4, by this detector's own modules."""

    @abstractmethod
    def losses(self, samples: Sequence[Sample], generator: torch.Generator) -> dict[str, Tensor]:
        """The losses of a batch, whose sum is trained on; `generator` samples anchors and regions."""

    @abstractmethod
    def detect(self, images: Sequence[Tensor]) -> list[Detections]:
        """What is in images (3, height, width) of uint8."""

    @property
    def device(self) -> torch.device:
        """Where the detector is."""
        return self.pixel_mean.device

    def batch(self, images: Sequence[Tensor]) -> tuple[Tensor, list[Size]]:
        """Normalised images in the corner of one tensor (N, 3, H, W), 0 elsewhere, and their sizes."""
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        height, width = (-(-max(side) // self.DIVISOR) * self.DIVISOR for side in zip(*sizes, strict=True))
        batch = self.pixel_mean.new_zeros((len(images), 3, height, width))
        for place, image in zip(batch, images, strict=True):
            normalised = (image.to(batch.device) - self.pixel_mean) / self.pixel_std
            place[:, : image.shape[1], : image.shape[2]] = normalised
        return batch, sizes
