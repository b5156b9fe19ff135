"""Batched operations against torchvision's functional ones and PIL's on the same parameters, to 2/255."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from pretrain.augment import ops

TOLERANCE = 2 / 255
REACH = 6
"""Pixels that a blur of σ 2 reaches to either side."""


def noise() -> Tensor:
    return torch.rand(6, 3, 40, 36, generator=torch.Generator().manual_seed(0))


def scenes() -> Tensor:
    """Photograph-like: smooth shading, a disc and bars with sharp edges, some pixels saturated, some grey; on 8-bit levels."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 36), indexing="ij")
    images = []
    for k in range(6):
        shade = torch.stack([rows * (k + 1) / 6, columns, 1 - rows * columns])
        disc = (rows - 0.5) ** 2 + (columns - 0.1 * k) ** 2 < 0.05
        shade = torch.where(disc, torch.tensor([0.9, 0.1 * k, 0.05])[:, None, None], shade)
        shade[:, 30:34, :] = 0.5
        shade[:, :3, 5:20] = torch.tensor([1.0, 1.0, 0.0])[:, None, None]
        images.append(shade)
    return (torch.stack(images) * 255).round() / 255


IMAGES = {"noise": noise(), "scenes": scenes()}


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    return ops.gaussian_blur(images, sigma, REACH)


PAIRS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], Tensor], tuple[float, float]]] = {
    "brightness": (ops.adjust_brightness_, F.adjust_brightness, (0.0, 2.0)),
    "contrast": (ops.adjust_contrast_, F.adjust_contrast, (0.0, 2.0)),
    "saturation": (ops.adjust_saturation_, F.adjust_saturation, (0.0, 2.0)),
    "hue": (ops.adjust_hue_, F.adjust_hue, (-0.5, 0.5)),
    "blur": (blur, lambda image, s: F.gaussian_blur(image, [2 * REACH + 1] * 2, [s, s]), (0.1, 2.0)),
    "solarize": (lambda images, _: ops.solarize_(images), lambda image, _: F.solarize(image, 128 / 255), (0, 0)),
    "grey": (lambda images, _: ops.to_grey(images).expand_as(images), lambda image, _: F.rgb_to_grayscale(image, 3), (0, 0)),
    "flip": (lambda images, _: ops.flip(images), lambda image, _: F.horizontal_flip(image), (0, 0)),
}
PIL: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "solarize": lambda image, _: ImageOps.solarize(image, 128),
    "grey": lambda image, _: image.convert("L").convert("RGB"),
    "flip": lambda image, _: ImageOps.mirror(image),
}


def parameters(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, 6)


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("name", PAIRS)
def test_each_image_gets_torchvisions_result_for_its_own_parameter(name: str, kind: str) -> None:
    ours, theirs, bounds = PAIRS[name]
    values = parameters(*bounds)
    expected = torch.stack([theirs(image, float(p)) for image, p in zip(IMAGES[kind], values, strict=True)])
    assert (ours(IMAGES[kind].clone(), values) - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize("name", PIL)
def test_each_image_gets_pils_result_for_its_own_parameter(name: str) -> None:
    ours, _, bounds = PAIRS[name]
    values, images = parameters(*bounds), IMAGES["scenes"]
    expected = torch.stack([tensor(PIL[name](picture(image), float(p))) for image, p in zip(images, values, strict=True)])
    assert (ours(images.clone(), values) - expected).abs().max() <= TOLERANCE


def test_blur_is_pils_to_6_of_255_and_1_on_average_away_from_the_borders() -> None:
    """PIL, and with it the published pipelines, takes three box blurs for a Gaussian and repeats the border pixels."""
    sigma, images = parameters(0.5, 2.0), IMAGES["scenes"]
    blurred = [picture(image).filter(ImageFilter.GaussianBlur(float(s))) for image, s in zip(images, sigma, strict=True)]
    difference = (blur(images, sigma) - torch.stack([tensor(image) for image in blurred])).abs()
    inside = difference[:, :, REACH:-REACH, REACH:-REACH]
    assert float(inside.mean()) <= 1 / 255
    assert float(inside.max()) <= 6 / 255


def test_hue_of_every_corner_and_edge_of_the_colour_cube_is_torchvisions() -> None:
    levels = torch.linspace(0, 1, 5)
    cube = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 25, 5).repeat(13, 1, 1, 1)
    shifts = torch.linspace(-0.5, 0.5, 13)
    expected = torch.stack([F.adjust_hue(image, float(s)) for image, s in zip(cube, shifts, strict=True)])
    torch.testing.assert_close(ops.adjust_hue_(cube.clone(), shifts), expected, rtol=0, atol=1e-5)


def test_blur_leaves_its_input_alone_and_an_image_does_not_depend_on_its_batch() -> None:
    images, sigma = noise(), parameters(0.1, 2.0)
    whole = blur(images, sigma)
    assert torch.equal(images, noise())
    torch.testing.assert_close(blur(images[:2], sigma[:2]), whole[:2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", [4, 33, 70])
def test_blur_keeps_a_flat_image_flat_in_one_block_or_several(side: int) -> None:
    flat = torch.full((2, 3, side, side + 1), 0.3)
    torch.testing.assert_close(blur(flat, torch.tensor([0.5, 2.0])), flat)


def picture(image: Tensor) -> Image.Image:
    return Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
