"""Boxes of many images, resized at once, are those that are resized one by one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretrain.images.crops import Crop
from pretrain.images.resample import Filter, cropped


@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [8, 32, 97])
def test_boxes_of_every_size_become_what_each_becomes_alone(filter_: Filter, size: int) -> None:
    rng = np.random.default_rng(size)
    images, boxes = [], []
    for height, width in ((40, 64), (97, 31), (33, 33), (200, 12), (5, 3)):
        images.append(torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8)))
        left, top = rng.integers(0, width - 1), rng.integers(0, height - 1)
        boxes.append((left, top, rng.integers(left + 1, width + 1), rng.integers(top + 1, height + 1)))
    found = cropped(images, np.array(boxes), size, filter_)
    crop = Crop(size, (0.2, 1.0), resize=filter_)
    expected = torch.cat([crop.cut(image, box) for image, box in zip(images, boxes, strict=True)])
    apart = (found.int() - expected.int()).abs()  # fixed-point weights, rounded twice
    assert int(apart.max()) <= 3
    assert float(apart.float().mean()) < 0.3
    parts = (image[None, :, box[1] : box[3], box[0] : box[2]].double() for image, box in zip(images, boxes, strict=True))
    options = {"mode": filter_, "antialias": True}
    narrow = [F.interpolate(part, size=(part.shape[2], size), **options).clamp(0, 255) for part in parts]
    exact = torch.cat([F.interpolate(part, size=(size, size), **options) for part in narrow]).clamp(0, 255)
    assert float((found - exact).abs().max()) < 0.501  # rounded once
