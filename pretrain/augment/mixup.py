"""MixUp (Zhang et al. 2018, arXiv:1710.09412), with one weight per image as in i-Mix (kibok90/imix @d40fabe)."""

import torch
from torch import Generator, Tensor

from pretrain.augment.blend import BetaBlend, partners
from pretrain.augment.mixed import Mixed, pairs
from pretrain.core.upload import upload


class MixUp(BetaBlend):
    """Blends each image with its partner."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`. The weights are the shares as drawn."""
        n = len(images)
        partner = partners(n, rng, images.device)
        weight = upload(self.shares(n, rng), images.device)
        return Mixed(torch.lerp(images[partner], images, weight.view(-1, 1, 1, 1)), *pairs(partner, weight))
