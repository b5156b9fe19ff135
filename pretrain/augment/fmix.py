"""FMix (Harris et al. 2020, arXiv:2002.12047; ecs-vlc/FMix): masks of any shape, cut out of low-frequency noise.

Shapes: N images, H rows, W columns.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from pretrain.augment.blend import BetaBlend, partners
from pretrain.augment.mixed import Mixed
from pretrain.core.upload import generator_on, upload


class FMix(BetaBlend):
    """Shows each image where noise of low frequency is highest, and its partner elsewhere."""

    decay: float = Field(3.0, ge=0)
    """Power of the frequency by which the noise decays: 0 is white, and the higher the power the fewer the pieces."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`. The weight is the fraction of pixels that stay: the share, in whole pixels.

        NOTE: the published code draws one mask per batch and weighs labels by λ as drawn; here every image has its own, and
        the weight is its pixels'. That code's `max_soft`, 0 in its experiments, is left out: masks have no soft edge.
        """
        n, _, height, width = images.shape
        partner = partners(n, rng, images.device)
        share = self.shares(n, rng)
        up = torch.rand(n, generator=rng) > 0.5
        pixels = share * height * width
        lost = height * width - torch.where(up, pixels.ceil(), pixels.floor()).long()
        noise = self.noise(n, height, width, rng, images.device)
        levels = F.pad(noise.flatten(1).sort(dim=1).values, (0, 1), value=torch.inf)
        mask = noise[:, None] < levels.gather(1, upload(lost, images.device)[:, None]).view(n, 1, 1, 1)
        return self.pasted(images, images[partner], mask, partner)

    def noise(self, n: int, height: int, width: int, rng: Generator, device: torch.device) -> Tensor:
        """Draw (N, H, W) noise whose amplitude at frequency f, in cycles per pixel, is max(f, 1 / longer side) ** −decay."""
        rows, columns = torch.fft.fftfreq(height, device=device), torch.fft.rfftfreq(width, device=device)
        frequency = torch.hypot(rows[:, None], columns[None, :]).clamp(min=1 / max(height, width))
        drawn = torch.randn(n, *frequency.shape, 2, generator=generator_on(device, rng), device=device)
        return torch.fft.irfft2(torch.view_as_complex(drawn) * frequency**-self.decay, s=(height, width))
