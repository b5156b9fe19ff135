"""The base pipelines: what turns a crop into a view, as a list of operations with their probability and strength.

The crop itself is drawn where images are decoded (`pretrain.data`), since only its pixels need decoding.
Sources: MoCo v1 and v2, facebookresearch/moco @7397dfe, main_moco.py.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from pretrain.augment import ops
from pretrain.settings import Settings


class Pipeline(Settings):
    """One view's operations, applied in the order of the fields; a probability of 0 switches one off."""

    crop_scale: tuple[float, float] = (0.2, 1.0)
    """Share of the image's area that a crop keeps, drawn uniformly."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width over height of a crop, drawn log-uniformly."""
    jitter: float = 0.8
    """Probability of colour jitter."""
    brightness: float = 0.4
    """Brightness factor is uniform in 1 ± this."""
    contrast: float = 0.4
    """Contrast factor is uniform in 1 ± this."""
    saturation: float = 0.4
    """Saturation factor is uniform in 1 ± this."""
    hue: float = 0.1
    """Hue is turned by up to this, in turns."""
    grey: float = 0.2
    """Probability of losing the colour."""
    blur: float = 0.5
    """Probability of Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Standard deviation of the blur, in pixels, drawn uniformly."""
    flip: float = 0.5
    """Probability of mirroring left and right."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """A view of each image.

        Args:
            images: (N, 3, H, W) crops, RGB in [0, 1]. Not modified.
            rng: Source of all randomness, on the images' device.

        Returns:
            (N, 3, H, W), RGB in [0, 1].
        """
        images = _sometimes(images, self.jitter, rng, lambda chosen: self._jitter(chosen, rng))
        images = _sometimes(images, self.grey, rng, ops.to_grey)
        images = _sometimes(images, self.blur, rng, lambda chosen: self._blur(chosen, rng))
        return _sometimes(images, self.flip, rng, ops.flip)

    def _jitter(self, images: Tensor, rng: Generator) -> Tensor:
        """Brightness, contrast, saturation and hue, in an order drawn for each image."""
        n, device = len(images), images.device
        steps: tuple[tuple[Callable[[Tensor, Tensor], Tensor], Tensor], ...] = (
            (ops.adjust_brightness, _uniform(n, 1 - self.brightness, 1 + self.brightness, rng, device)),
            (ops.adjust_contrast, _uniform(n, 1 - self.contrast, 1 + self.contrast, rng, device)),
            (ops.adjust_saturation, _uniform(n, 1 - self.saturation, 1 + self.saturation, rng, device)),
            (ops.adjust_hue, _uniform(n, -self.hue, self.hue, rng, device)),
        )
        order = torch.rand(n, len(steps), generator=rng, device=device).argsort(dim=1)
        images = images.clone()
        for position in range(len(steps)):
            for step, (operation, strength) in enumerate(steps):
                chosen = (order[:, position] == step).nonzero().squeeze(1)
                if len(chosen):
                    images[chosen] = operation(images[chosen], strength[chosen])
        return images

    def _blur(self, images: Tensor, rng: Generator) -> Tensor:
        low, high = self.blur_sigma
        return ops.gaussian_blur(images, _uniform(len(images), low, high, rng, images.device))


PIPELINES: dict[str, Pipeline] = {
    "mocov1": Pipeline(jitter=1.0, hue=0.4, blur=0.0),
    "mocov2": Pipeline(),
}
"""Base pipelines by name. NOTE: MoCo v1 turns to grey before the jitter; here, as in v2, after it."""


def _sometimes(images: Tensor, probability: float, rng: Generator, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply an operation to each image with the given probability."""
    chosen = (torch.rand(len(images), generator=rng, device=images.device) < probability).nonzero().squeeze(1)
    if not len(chosen):
        return images
    result = images.clone()
    result[chosen] = operation(images[chosen])
    return result


def _uniform(n: int, low: float, high: float, rng: Generator, device: torch.device) -> Tensor:
    return torch.rand(n, generator=rng, device=device) * (high - low) + low
