"""Crops are drawn and cut as torchvision's RandomResizedCrop does."""

import math
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv
from torchvision.transforms.v2 import RandomResizedCrop

from pretrain.images.crops import NUMBERS, TRIES, CentreCrop, Crop

NOISE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def drawn(crop: Crop, width: int, height: int, n: int) -> np.ndarray:
    draws = np.random.default_rng(1).random((n, TRIES, NUMBERS))
    return crop.boxes(np.array([[width, height]] * n), draws)


def by_definition(crop: Crop, width: int, height: int, draws: np.ndarray) -> tuple[int, int, int, int]:
    for area, aspect, across, down in draws.tolist():
        share = crop.scale[0] + (crop.scale[1] - crop.scale[0]) * area
        ratio = crop.ratio[0] * (crop.ratio[1] / crop.ratio[0]) ** aspect
        w, h = round(math.sqrt(width * height * share * ratio)), round(math.sqrt(width * height * share / ratio))
        if w <= width and h <= height:
            left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
            return left, top, left + w, top + h
    raise AssertionError("none of the drawn boxes fits")


def test_boxes_follow_the_definition() -> None:
    crop, n = Crop(8, (0.2, 0.8)), 200
    draws = np.random.default_rng(1).random((n, TRIES, NUMBERS))
    sizes = np.random.default_rng(2).integers(20, 40, (n, 2))
    expected = [by_definition(crop, *size, one) for size, one in zip(sizes.tolist(), draws, strict=True)]
    assert crop.boxes(sizes, draws).tolist() == [list(box) for box in expected]


def test_boxes_are_distributed_as_torchvisions() -> None:
    width, height, n = 90, 60, 4000
    ours = drawn(Crop(8, (0.2, 1.0)), width, height, n)
    blank = torch.zeros(3, height, width)
    torch.manual_seed(0)
    theirs = [RandomResizedCrop(8, scale=(0.2, 1.0)).make_params([blank]) for _ in range(n)]
    for name, values in {
        "left": ours[:, 0],
        "top": ours[:, 1],
        "width": ours[:, 2] - ours[:, 0],
        "height": ours[:, 3] - ours[:, 1],
    }.items():
        other = np.array([params[name] for params in theirs])
        error = math.hypot(values.std(), other.std()) / math.sqrt(n)
        assert abs(values.mean() - other.mean()) < 4 * error, name
        assert values.std() == pytest.approx(other.std(), rel=0.08), name


@pytest.mark.parametrize(("width", "height"), [(300, 20), (20, 300), (50, 40)])
def test_where_no_box_fits_the_central_one_is_torchvisions(width: int, height: int) -> None:
    crop = Crop(8, (4.0, 4.0))  # never fits
    params = RandomResizedCrop(8, scale=(4.0, 4.0)).make_params([torch.zeros(3, height, width)])
    left, top, w, h = (params[key] for key in ("left", "top", "width", "height"))
    assert drawn(crop, width, height, 1).tolist() == [[left, top, left + w, top + h]]


@pytest.mark.parametrize(("resize", "levels"), [("bilinear", 1), ("bicubic", 2)])
@pytest.mark.parametrize("size", [16, 60, 100])
def test_a_crop_equals_torchvisions_to_a_level(size: int, resize: Literal["bilinear", "bicubic"], levels: int) -> None:
    pixels = torch.from_numpy(NOISE.copy()).permute(2, 0, 1)
    crop, how = Crop(size, (0.2, 1.0), resize=resize), tv.InterpolationMode(resize)
    for left, top, right, bottom in drawn(crop, 90, 60, 20).tolist():
        ours = crop.cut(pixels, (left, top, right, bottom))
        theirs = tv.resized_crop(Image.fromarray(NOISE), top, left, bottom - top, right - left, [size, size], how)
        assert ours.shape == (1, 3, size, size)
        difference = np.abs(ours[0].permute(1, 2, 0).numpy().astype(int) - np.asarray(theirs).astype(int))
        assert difference.max() <= levels
        assert ours.is_contiguous(memory_format=torch.channels_last)


def test_the_centre_crop_is_the_middle_seven_eighths_of_the_short_side() -> None:
    crop = CentreCrop(32)
    (box,) = crop.boxes(np.array([[90, 60]]), np.empty((1, TRIES, NUMBERS))).tolist()
    assert box == [18.75, 3.75, 71.25, 56.25]
    ours = crop.cut(torch.from_numpy(NOISE.copy()).permute(2, 0, 1), tuple(box))
    theirs = Image.fromarray(NOISE).resize((32, 32), Image.Resampling.BILINEAR, box=tuple(box))
    assert np.array_equal(ours[0].permute(1, 2, 0).numpy(), np.asarray(theirs))
