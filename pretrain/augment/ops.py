"""Image operations on whole batches with one parameter per image.

Shapes: N images, C=3 channels, H rows, W columns. Images are RGB in [0, 1]; nothing is modified in place.
Each operation agrees with torchvision's functional one on the same parameter (tests hold the comparison).
"""

import torch
from torch import Tensor

# ITU-R 601-2 luma, as PIL and torchvision use it.
_LUMA = (0.2989, 0.587, 0.114)
BLUR_REACH = 3.0
"""A blur's kernel reaches this many standard deviations to either side; the rest of the mass is 0.3 %."""


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by `factor` (N,), 0 for black and 1 for no change."""
    return (images * _per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey: `factor` (N,), 0 for flat grey and 1 for no change."""
    mean = _luma(images).mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, _per_image(factor)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image: `factor` (N,), 0 for grey and 1 for no change."""
    return torch.lerp(_luma(images).expand_as(images), images, _per_image(factor)).clamp_(0, 1)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` (N,), in turns: ±0.5 is the opposite colour."""
    value, _ = images.max(dim=1)
    chroma = value - images.min(dim=1).values
    hue = (_hue(images, value, chroma) + shift[:, None, None]).remainder(1.0)
    # Each channel is the value less a trapezoid of the hue (Smith 1978, in the form that needs no case distinction).
    sector = (torch.tensor([5.0, 3.0, 1.0], device=images.device).view(1, 3, 1, 1) + 6 * hue[:, None]) % 6
    trapezoid = torch.minimum(sector, 4 - sector).clamp_(0, 1)
    return value[:, None] - chroma[:, None] * trapezoid


def to_grey(images: Tensor) -> Tensor:
    """The grey image, three equal channels."""
    return _luma(images).expand_as(images).contiguous()


def flip(images: Tensor) -> Tensor:
    """Mirror left and right."""
    return images.flip(-1)


def solarize(images: Tensor, threshold: float = 128 / 255) -> Tensor:
    """Invert what is at least `threshold`, in [0, 1]."""
    return torch.where(images >= threshold, 1 - images, images)


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur with standard deviation `sigma` (N,), in pixels; borders are mirrored.

    A separable blur is two products with a band matrix, which is faster than N different convolutions.
    """
    rows = _blur_matrix(images.shape[2], sigma)  # (N, H, H)
    columns = _blur_matrix(images.shape[3], sigma)  # (N, W, W)
    return rows[:, None] @ images @ columns[:, None].transpose(-1, -2)


def _blur_matrix(length: int, sigma: Tensor) -> Tensor:
    """(N, length, length): row i holds the weights of the pixels that make pixel i."""
    reach = min(int(BLUR_REACH * float(sigma.max())) + 1, length - 1)
    offsets = torch.arange(-reach, reach + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)  # (N, T)
    weights = weights / weights.sum(dim=1, keepdim=True)
    index = (torch.arange(length, device=sigma.device)[:, None] + offsets).abs()  # mirrored at 0
    index = (length - 1) - ((length - 1) - index).abs()  # and at the other end
    matrix = weights.new_zeros(len(sigma), length, length)
    shape = (len(sigma), length, len(offsets))
    return matrix.scatter_add_(2, index.expand(shape), weights[:, None].expand(shape))


def _hue(images: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """(N, H, W) in turns; 0 where there is no colour."""
    red, green, blue = images.unbind(1)
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    from_red = (green - blue) / safe
    from_green = 2 + (blue - red) / safe
    from_blue = 4 + (red - green) / safe
    sextant = torch.where(value == red, from_red, torch.where(value == green, from_green, from_blue))
    return (sextant / 6).remainder(1.0)


def _luma(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]


def _per_image(factor: Tensor) -> Tensor:
    return factor.view(-1, 1, 1, 1)
