"""CutOut (DeVries and Taylor 2017, arXiv:1708.04552; uoguelph-mlrg/Cutout @287f934)."""

import torch
from pydantic import Field
from torch import Generator, Tensor

from pretrain.augment import Mixed, box_mask
from pretrain.settings import Settings


class CutOut(Settings):
    """Blanks one square whose centre is anywhere in the image, so that it may stick out and be clipped."""

    side: float = Field(0.5, gt=0, le=1)
    """Side of the square as a share of the image's shorter side. 0.5 is CIFAR-10's 16 of 32 pixels; the authors
    give no setting for ImageNet."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """See `pretrain.augment.Augmentation`. The fill is 0 after normalisation, as published."""
        n, _, height, width = images.shape
        side = max(1, round(self.side * min(height, width)))
        draw = torch.rand(2, n, generator=rng, device=images.device)
        top = (draw[0] * height).floor() - side // 2
        left = (draw[1] * width).floor() - side // 2
        return Mixed(images.masked_fill(box_mask(top, left, top + side, left + side, height, width), 0.0))
