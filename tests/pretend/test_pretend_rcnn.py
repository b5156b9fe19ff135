"""Both R-CNN families on a device that isn't there: a step, precise BN and detection."""

from typing import Any

import numpy as np
import pytest
import torch

from transfer import tasks
from transfer.engines.precise_bn import precise_bn
from transfer.engines.torchvision.data import SAMPLING, Sample, torch_random
from transfer.engines.torchvision.detector import Detector
from transfer.engines.torchvision.engine import FAMILIES
from transfer.engines.torchvision.evaluate import in_file_pixels
from transfer.engines.torchvision.rpn import Target
from transfer.engines.torchvision.train import _step, make_optimizer
from transfer.tasks.detection import DetectionSettings

CLASSES = 5
TINY = {
    "rois": 8, "roi_resolution": 4, "rpn_batch": 32, "pre_nms_train": 100, "post_nms_train": 30, "pre_nms_test": 100,
    "post_nms_test": 10, "score_threshold": 0.01, "detections_per_image": 5,
}  # fmt: skip
STEP = {
    "transfer/detection/masks.py crop",
    "transfer/engines/torchvision/boxes.py sample",
    "transfer/engines/torchvision/data.py Sample.to",
    "transfer/engines/torchvision/detector.py Detector._mask_loss",
    "transfer/engines/torchvision/heads.py BoxHead.losses",
    "transfer/engines/torchvision/pooling.py pool",
    "transfer/engines/torchvision/rpn.py RPN.losses",
    "transfer/engines/torchvision/rpn.py _suppress",
    "transfer/engines/torchvision/train.py _step",
}
"""Functions in which the host waits for the device in a training step: what comes next depends on which regions there are."""
DETECTION = {
    "transfer/engines/torchvision/detector.py Detector.batch",
    "transfer/engines/torchvision/evaluate.py _scaled",
    "transfer/engines/torchvision/heads.py BoxHead.detect",
    "transfer/engines/torchvision/pooling.py pool",
    "transfer/engines/torchvision/rpn.py _suppress",
}
"""The same for detecting."""


def sample(objects: int) -> Sample:
    rng = np.random.default_rng(objects)
    corner = rng.uniform(0, 40, (objects, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(15, 40, (objects, 2))], axis=1)
    masks = tuple((np.array([x, y, right, y, right, bottom, x, bottom]),) for x, y, right, bottom in boxes)
    pixels = torch.from_numpy(rng.integers(0, 256, (3, 80, 96), dtype=np.uint8))
    target = Target(torch.from_numpy(boxes.astype(np.float32)), torch.arange(objects) % CLASSES)
    return Sample(pixels, target, masks)


@pytest.fixture(params=["coco-c4", "coco-fpn"])
def detector(request: pytest.FixtureRequest, watch: Any) -> Detector:
    settings = tasks.get(request.param).settings.replace(TINY)
    assert isinstance(settings, DetectionSettings)
    torch.manual_seed(0)
    return FAMILIES[settings.family]("resnet18", CLASSES, settings).to(torch.device("meta"))


def test_a_step(detector: Detector, watch: Any) -> None:
    optimizer = make_optimizer(detector.train(), detector.settings)
    for step in range(2):
        watch.forget()
        _step(detector, optimizer, [sample(2).to(detector.device), sample(3).to(detector.device)], 0, step)
    assert watch.mixes == {}
    assert {wait.split(": ")[0] for wait in watch.waits} <= STEP


def test_precise_bn(detector: Detector, watch: Any) -> None:
    def forward(batch: list[Sample]) -> None:
        detector.losses([each.to(detector.device) for each in batch], torch_random(0, SAMPLING, 0))

    precise_bn(detector.train(), forward, [[sample(1), sample(0)]])
    assert watch.mixes == {}


def test_detection(detector: Detector, watch: Any) -> None:
    detector.eval()
    watch.forget()
    found = detector.detect([sample(2).image])[0]
    in_file_pixels(found, (80, 96), (40, 48))
    assert watch.mixes == {}
    assert {wait.split(": ")[0] for wait in watch.waits} <= DETECTION
