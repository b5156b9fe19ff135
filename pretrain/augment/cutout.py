"""CutOut (DeVries and Taylor 2017, arXiv:1708.04552; uoguelph-mlrg/Cutout @287f934)."""

import torch
from torch import Generator, Tensor

from pretrain.augment.boxes import box_mask
from pretrain.augment.fill import Fill, filled
from pretrain.augment.mixed import Mixed
from pretrain.core.ranges import Fraction
from pretrain.core.settings import Settings


class CutOut(Settings):
    """Erases one square whose centre is anywhere in the image; what reaches beyond the border is clipped."""

    side: Fraction = 0.5
    """Side of the square as a fraction of the image's short side. 0.5 is CIFAR-10's 16 of 32 pixels; the authors
    give no setting for ImageNet."""
    fill: Fill = "zero"
    """What the square becomes. Published: `zero`."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`."""
        n, _, height, width = images.shape
        side = max(1, round(self.side * min(height, width)))
        draw = torch.rand(2, n, generator=rng)
        top = (draw[0] * height).floor() - side // 2
        left = (draw[1] * width).floor() - side // 2
        erased = box_mask(top, left, top + side, left + side, height, width, images.device)
        return Mixed(filled(images, erased, self.fill, rng))
