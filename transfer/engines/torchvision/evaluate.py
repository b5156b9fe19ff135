"""Run a detector over the validation images, and map its detections into their own pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pretrain.core import distributed
from pretrain.core.journal import Journal
from transfer.datasets.objects import Picture, read_image
from transfer.detection import masks as mask_ops
from transfer.detection.found import Found
from transfer.engines.aside import aside
from transfer.engines.torchvision import boxes as box_ops
from transfer.engines.torchvision.data import as_tensor, resize, resized_shape
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.heads import Detections
from transfer.tasks.detection import DetectionSettings


def find(model: Detector, pictures: Sequence[Picture], settings: DetectionSettings, journal: Journal) -> list[Found]:
    """Detect in each image, one at a time, in eval mode. The images are dealt to the processes; the first gets all results.

    While the detector is at work, loader workers decode the next images, and others paste and encode the masks of those before.
    """
    model.eval()
    mine, found, world = distributed.dealt(pictures), list[Found](), distributed.world()
    workers = min(settings.num_workers, len(mine))
    images = aside(_Images(mine, settings), range(len(mine)), workers)
    detected = (_placed(model.detect([image])[0], image, picture) for image, picture in zip(images, mine, strict=True))
    for each in aside(_pasted, detected, workers if settings.masks else 0):
        found.append(each)
        journal.step("evaluate", min(len(found) * world, len(pictures)), len(pictures))
    return distributed.collected(found)


class _Images:
    """Test images as the detector sees them: (3, height, width) uint8."""

    def __init__(self, pictures: Sequence[Picture], settings: DetectionSettings) -> None:
        self.pictures, self.settings = pictures, settings

    def __call__(self, index: int) -> Tensor:
        picture = self.pictures[index]
        shape = resized_shape(picture.height, picture.width, self.settings.test_size, self.settings.max_size)
        return as_tensor(resize(read_image(picture), *shape))


class _Placed(NamedTuple):
    """The R detections in an image, with masks that are not pasted into it yet."""

    found: Found
    masks: NDArray[np.float32] | None
    """(R, side, side), probabilities inside the boxes."""
    size: tuple[int, int]
    """Height and width of the image file."""


def in_file_pixels(detections: Detections, seen: tuple[int, int], size: tuple[int, int]) -> Found:
    """Map detections from an image of (height, width) `seen` to its file of `size`; those left without area are dropped."""
    return _pasted(_scaled(detections, seen, size))


def _placed(detections: Detections, image: Tensor, picture: Picture) -> _Placed:
    return _scaled(detections, (image.shape[1], image.shape[2]), (picture.height, picture.width))


def _scaled(detections: Detections, seen: tuple[int, int], size: tuple[int, int]) -> _Placed:
    scale = torch.tensor([size[1] / seen[1], size[0] / seen[0]]).repeat(2)
    boxes = box_ops.clip(detections.boxes.cpu() * scale, size)
    whole = box_ops.has_area(boxes)
    scores, labels = detections.scores.cpu()[whole].numpy(), detections.labels.cpu()[whole].numpy()
    masks = None if detections.masks is None else detections.masks.cpu()[whole].numpy()
    return _Placed(Found(boxes[whole].numpy(), scores, labels, None), masks, size)


def _pasted(placed: _Placed) -> Found:
    """Paste and encode the masks."""
    found, masks, size = placed
    if masks is None:
        return found
    parts = zip(torch.from_numpy(masks), torch.from_numpy(found.boxes), strict=True)
    encoded = tuple(mask_ops.encode(mask_ops.paste(mask, box, *size)) for mask, box in parts)
    return Found(found.boxes, found.scores, found.labels, encoded)
