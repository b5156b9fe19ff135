"""MixUp (Zhang et al. 2018, arXiv:1710.09412), with one weight per image as in i-Mix (kibok90/imix @d40fabe)."""

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor

from pretrain.augment.mixed import Mixed, pairs
from pretrain.core.settings import Settings


class MixUp(Settings):
    """Blends each image with its partner."""

    alpha: float = Field(1.0, gt=0)
    """Both parameters of the Beta distribution of the weight; 1 is uniform."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`. The image itself always has the larger weight, as in i-Mix."""
        n = len(images)
        partner = partners(n, rng, images.device)
        weight = beta(n, self.alpha, rng, images.device)
        weight = torch.maximum(weight, 1 - weight)
        return Mixed(torch.lerp(images[partner], images, weight.view(-1, 1, 1, 1)), *pairs(partner, weight))


def partners(n: int, rng: Generator, device: torch.device) -> Tensor:
    """Draw the partner of each image: (N,), a random permutation."""
    return torch.randperm(n, generator=rng, device=device)


def beta(n: int, alpha: float, rng: Generator, device: torch.device) -> Tensor:
    """Draw (N,) weights from Beta(alpha, alpha). torch's Beta takes no generator, so NumPy's is seeded from `rng`."""
    seed = int(torch.randint(2**62, (1,), generator=rng, device=device))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, n)).float().to(device)
