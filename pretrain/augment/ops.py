"""Image operations on whole batches, with one parameter per image.

Shapes: N images, C=3 channels, H rows, W columns. Images are float RGB in [0, 1], contiguous with the channel
dimension first (no other layout is as fast). A trailing underscore means in place, as in torch: a view is some dozen
operations on a batch that its pipeline owns, and copies would cost as much as the arithmetic. Each operation agrees with
torchvision's functional one on the same parameter (tests compare them).
"""

import math
from functools import cache

import torch
from torch import Tensor

_LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in the luma (ITU-R 601-2), as PIL and torchvision use them."""
BLUR_REACH = 3.0
"""Reach of a blur's kernel to either side, in standard deviations; it cuts off 0.3 % of the mass."""
BLUR_BLOCK = 32
"""Pixels of a row or column that a blur computes at once: few enough to skip most of a band matrix's zeros."""
SOLARIZE_THRESHOLD = 128 / 255
"""Default threshold, PIL's 128 of 255; a pipeline passes its own."""


def adjust_brightness_(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by `factor` (N,): 0 gives black, 1 changes nothing."""
    return images.mul_(_per_image(factor)).clamp_(0, 1)


def adjust_contrast_(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey by `factor` (N,): 0 gives flat grey, 1 changes nothing."""
    grey = images.mean(dim=(2, 3)) @ _constant(_LUMA, images.device)
    return images.mul_(_per_image(factor)).add_(_per_image((1 - factor) * grey)).clamp_(0, 1)


def adjust_saturation_(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image by `factor` (N,): 0 gives grey, 1 changes nothing."""
    grey = to_grey(images).mul_(_per_image(1 - factor))
    return images.mul_(_per_image(factor)).add_(grey).clamp_(0, 1)


def adjust_hue_(images: Tensor, shift: Tensor) -> Tensor:
    """Shift the hue by `shift` (N,), in turns: ±0.5 gives the opposite colour.

    The formula needs neither a case distinction nor a remainder per pixel, which would cost more than all the rest. Angles
    are in sixths of a turn. With A = 1 + (G + B − R − min) / chroma the hue is A where G ≥ B and −A elsewhere, within ±3.
    A channel is min + chroma · clamp(2 − d, 0, 1), where d is the distance on the circle between the hue and the channel's
    own (red 0, green 2, blue −2). For a difference x within ±6, d = 3 − ||x| − 3|.
    """
    red, green, blue = images.unbind(1)
    low = torch.minimum(red, green)
    torch.minimum(low, blue, out=low)
    chroma = torch.maximum(red, green)
    torch.maximum(chroma, blue, out=chroma).sub_(low)
    hue = (green + blue).sub_(red).sub_(low).div_(chroma.clamp_min(1e-12)).add_(1)
    hue.copysign_(green - blue)
    own = _constant((0.0, 2.0, -2.0), images.device)
    turn = (6 * shift[:, None] - own + 3).remainder_(6).sub_(3)  # (N, 3), within ±3
    torch.add(hue[:, None], turn[:, :, None, None], out=images)
    return images.abs_().sub_(3).abs_().clamp_(1, 2).mul_(chroma[:, None]).add_((low - chroma)[:, None])


def to_grey(images: Tensor) -> Tensor:
    """Compute the luma (N, 1, H, W), which broadcasts over the channels."""
    red, green, blue = images.unbind(1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])[:, None]


def flip(images: Tensor) -> Tensor:
    """Mirror the images left to right."""
    return images.flip(-1)


def solarize_(images: Tensor, threshold: float = SOLARIZE_THRESHOLD) -> Tensor:
    """Invert every value of at least `threshold`, which is in [0, 1]."""
    # A weight of 0 or 1 makes `lerp_` exact, and it is many times faster than `where`.
    return images.lerp_(1 - images, images.clone().ge_(threshold))


def gaussian_blur(images: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Blur with mirrored borders.

    A separable blur is two products with a band matrix, computed block by block along the band: faster than N convolutions.

    Args:
        images: (N, C, H, W).
        sigma: (N,) standard deviations, in pixels.
        reach: Pixels that the kernel reaches to either side.
    """
    n, channels, height, width = images.shape
    rows = _blur_matrix(height, sigma, reach)
    columns = rows if width == height else _blur_matrix(width, sigma, reach)
    beside = images.transpose(1, 2).reshape(n, height, channels * width)  # one product for all channels
    tall = [torch.bmm(rows[:, here, near], beside[:, near]) for here, near in _blocks(height, reach)]
    flat = torch.cat(tall, dim=1).view(n, height * channels, width)
    wide = [torch.bmm(flat[:, :, near], columns[:, here, near].transpose(1, 2)) for here, near in _blocks(width, reach)]
    return torch.cat(wide, dim=2).view(n, height, channels, width).transpose(1, 2)


def _blocks(length: int, reach: int) -> list[tuple[slice, slice]]:
    """Split a row into blocks: the pixels of each block of the result, and the pixels that it depends on."""
    starts = range(0, length, BLUR_BLOCK)
    return [(slice(start, start + BLUR_BLOCK), slice(max(0, start - reach), start + BLUR_BLOCK + reach)) for start in starts]


def _blur_matrix(length: int, sigma: Tensor, reach: int) -> Tensor:
    """Build the (N, length, length) blur matrices: row i holds the weights of the pixels that make pixel i."""
    reach = min(reach, length - 1)
    offsets = torch.arange(reach + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)  # (N, T)
    weights = weights / (2 * weights.sum(dim=1, keepdim=True) - 1)
    return (weights @ _neighbours(length, reach, sigma.device).flatten(1)).unflatten(1, (length, length))


@cache
def _neighbours(length: int, reach: int, device: torch.device) -> Tensor:
    """Count, at (t, i, j) of (reach + 1, length, length), how often pixel j lies t pixels from pixel i, borders mirrored."""
    here, offsets = torch.arange(length), torch.arange(reach + 1)
    counts = torch.zeros(reach + 1, length, length)
    for side in (-1, 1):
        index = (here + side * offsets[:, None]).abs()  # mirrored at 0
        index = (length - 1) - ((length - 1) - index).abs()  # and at the other end
        counts.scatter_add_(2, index[:, :, None], torch.ones(reach + 1, length, 1))
    counts[0] /= 2  # the pixel itself was counted on both sides
    return counts.to(device)


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


def reach_of(sigma: float) -> int:
    """Return the reach in pixels that a blur with a standard deviation of at most `sigma` pixels needs."""
    return math.ceil(BLUR_REACH * sigma)


def _per_image(factor: Tensor) -> Tensor:
    return factor.view(-1, 1, 1, 1)
