"""Run a detector over the validation images, and map its detections into their own pixels."""

from collections.abc import Sequence

import torch

from pretrain.core import distributed
from pretrain.core.journal import Journal
from transfer.datasets.objects import Picture, read_image
from transfer.detection import masks as mask_ops
from transfer.detection.found import Found
from transfer.engines.torchvision import boxes as box_ops
from transfer.engines.torchvision.data import as_tensor, resize, resized_shape
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.heads import Detections
from transfer.tasks.detection import DetectionSettings


def find(model: Detector, pictures: Sequence[Picture], settings: DetectionSettings, journal: Journal) -> list[Found]:
    """Detect in each image, one at a time, in eval mode. The images are dealt to the processes; the first gets all results."""
    model.eval()
    found, world = [], distributed.world()
    for count, picture in enumerate(distributed.dealt(pictures), start=1):
        height, width = resized_shape(picture.height, picture.width, settings.test_size, settings.max_size)
        image = as_tensor(resize(read_image(picture), height, width))
        found.append(in_file_pixels(model.detect([image])[0], (height, width), (picture.height, picture.width)))
        journal.step("evaluate", min(count * world, len(pictures)), len(pictures))
    return distributed.collected(found)


def in_file_pixels(detections: Detections, seen: tuple[int, int], size: tuple[int, int]) -> Found:
    """Map detections from an image of (height, width) `seen` to its file of `size`; those left without area are dropped."""
    scale = torch.tensor([size[1] / seen[1], size[0] / seen[0]]).repeat(2)
    boxes = box_ops.clip(detections.boxes.cpu() * scale, size)
    whole = box_ops.has_area(boxes)
    boxes, masks = boxes[whole], None
    if detections.masks is not None:
        kept = detections.masks.cpu()[whole]
        masks = tuple(mask_ops.encode(mask_ops.paste(mask, box, *size)) for mask, box in zip(kept, boxes, strict=True))
    return Found(boxes.numpy(), detections.scores.cpu()[whole].numpy(), detections.labels.cpu()[whole].numpy(), masks)
