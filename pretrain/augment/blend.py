"""What augmentations that blend two images have in common: partners, and the law of an image's own share.

Shapes: N images.
"""

from typing import Self

import numpy as np
import torch
from pydantic import Field, PrivateAttr
from torch import Generator, Tensor

from pretrain.augment.mixed import Mixed, pairs
from pretrain.core.settings import Settings
from pretrain.core.upload import upload


class Blend(Settings):
    """Base of the augmentations that blend each image with a partner.

    Whether an image's own share is at least a half is for the target to say, which must be able to call the blend a view of
    that image (i-Mix) or needs no such thing (Un-Mix, cross-entropy). So it is no option: `pretrain.augment.make` is asked.
    """

    _folded: bool = PrivateAttr(default=False)

    def folded(self) -> Self:
        """Return the same augmentation with shares of max(λ, 1 − λ), where λ is as published (kibok90/imix @d40fabe)."""
        copy = self.model_copy()
        copy._folded = True
        return copy

    def pasted(self, images: Tensor, over: Tensor, mask: Tensor, partner: Tensor) -> Mixed:
        """Paste each image's partner over it; the weight is the fraction of pixels that stay.

        Where shares are folded and rounding to whole pixels left an image less than half, the two change places.

        Args:
            images: (N, 3, H, W).
            over: (N, 3, H, W), what is pasted: the partners, or what was made of them.
            mask: (N, 1, H, W), true where it is pasted.
            partner: (N,) index of the partner.
        """
        weight = 1 - mask.float().mean(dim=(1, 2, 3))
        if self._folded:
            mask = mask ^ (weight < 0.5).view(-1, 1, 1, 1)
            weight = torch.maximum(weight, 1 - weight)
        return Mixed(torch.where(mask, over, images), *pairs(partner, weight))


class BetaBlend(Blend):
    """Base of those whose shares follow a Beta distribution."""

    alpha: float = Field(1.0, gt=0)
    """Both parameters of the Beta distribution of an image's own share; 1 is uniform."""

    def shares(self, n: int, rng: Generator) -> Tensor:
        """Draw each image's own share (N,) from Beta(alpha, alpha), folded at a half where the target asks for it.

        torch's Beta takes no generator, so NumPy's is seeded from `rng`. The shares are on the CPU.
        """
        seed = int(torch.randint(2**62, (1,), generator=rng))
        own = torch.from_numpy(np.random.default_rng(seed).beta(self.alpha, self.alpha, n)).float()
        return torch.maximum(own, 1 - own) if self._folded else own


def partners(n: int, rng: Generator, device: torch.device) -> Tensor:
    """Draw the partner of each image: (N,) on that device, a random permutation."""
    return upload(torch.randperm(n, generator=rng), device)
