"""CutMix (Yun et al. 2019, arXiv:1905.04899, equations 1 and 2; clovaai/CutMix-PyTorch @2d8eb68)."""

import torch
from pydantic import Field
from torch import Generator, Tensor

from pretrain.augment.blend import BetaBlend, partners
from pretrain.augment.boxes import box_mask, centred
from pretrain.augment.mixed import Mixed


class CutMix(BetaBlend):
    """Pastes one box of each image's partner over the image."""

    probability: float = Field(1.0, ge=0, le=1)
    """Probability of mixing an image at all."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`.

        The weight is the fraction of pixels that stay: the share as drawn, and more where the box was clipped at the border.

        NOTE: the published code draws one box per batch; here every image has its own.
        """
        n, _, height, width = images.shape
        partner = partners(n, rng, images.device)
        side = (1 - self.shares(n, rng)).sqrt()
        draw = torch.rand(3, n, generator=rng)
        side = torch.where(draw[2] < self.probability, side, torch.zeros_like(side))
        mask = box_mask(*centred(side, draw[0], draw[1], height, width), height, width, images.device)
        return self.pasted(images, images[partner], mask, partner)
