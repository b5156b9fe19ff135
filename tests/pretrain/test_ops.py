"""Batched operations against torchvision's functional ones on the same parameters, to 2/255."""

from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from pretrain.augment import ops

TOLERANCE = 2 / 255
IMAGES = torch.rand(6, 3, 24, 20, generator=torch.Generator().manual_seed(0))
PAIRS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], Tensor], tuple[float, float]]] = {
    "brightness": (ops.adjust_brightness, F.adjust_brightness, (0.0, 2.0)),
    "contrast": (ops.adjust_contrast, F.adjust_contrast, (0.0, 2.0)),
    "saturation": (ops.adjust_saturation, F.adjust_saturation, (0.0, 2.0)),
    "hue": (ops.adjust_hue, F.adjust_hue, (-0.5, 0.5)),
    "blur": (ops.gaussian_blur, lambda image, s: F.gaussian_blur(image, [2 * int(3 * 2.0 + 1) + 1] * 2, [s, s]), (0.1, 2.0)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_image_gets_torchvisions_result_for_its_own_parameter(name: str) -> None:
    ours, theirs, (low, high) = PAIRS[name]
    parameters = torch.linspace(low, high, len(IMAGES))
    expected = torch.stack([theirs(image, float(p)) for image, p in zip(IMAGES, parameters, strict=True)])
    assert (ours(IMAGES, parameters) - expected).abs().max() <= TOLERANCE


def test_grey_is_torchvisions_grey() -> None:
    assert (ops.to_grey(IMAGES) - F.rgb_to_grayscale(IMAGES, 3)).abs().max() <= TOLERANCE


def test_solarize_is_torchvisions_solarize() -> None:
    assert torch.equal(ops.solarize(IMAGES), F.solarize(IMAGES, 128 / 255))


def test_no_operation_changes_its_input() -> None:
    before = IMAGES.clone()
    for ours, _, (low, high) in PAIRS.values():
        ours(IMAGES, torch.linspace(low, high, len(IMAGES)))
    assert torch.equal(IMAGES, before)


def test_blur_keeps_a_flat_image_flat() -> None:
    flat = torch.full((2, 3, 9, 9), 0.3)
    torch.testing.assert_close(ops.gaussian_blur(flat, torch.tensor([0.5, 2.0])), flat)
