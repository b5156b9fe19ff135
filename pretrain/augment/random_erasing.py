"""Random Erasing (Zhong et al. 2017, arXiv:1708.04896; zhunzhong07/Random-Erasing @ed05424)."""

import torch
from torch import Generator, Tensor

from pretrain.augment.boxes import box_mask
from pretrain.augment.fill import Fill, filled
from pretrain.augment.mixed import Mixed
from pretrain.core.ranges import FractionRange, PositiveRange, Probability
from pretrain.core.settings import Settings


class RandomErasing(Settings):
    """Erases one box of random size and shape, wholly inside the image."""

    probability: Probability = 0.5
    """Probability of erasing anything in an image."""
    area: FractionRange = (0.02, 0.4)
    """Fraction of the image's area, drawn uniformly: the published code's range; torchvision's default ends at 0.33."""
    ratio: PositiveRange = (0.3, 1 / 0.3)
    """Height over width of the box, drawn uniformly as in the published code; torchvision draws log-uniformly."""
    fill: Fill = "zero"
    """What the box becomes. NOTE: the published code fills with the data set's mean colour in units of [0, 1] even if
    images are already normalised; `zero` is that colour after normalisation."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`.

        NOTE: the published code draws up to 100 times until the box fits; here its sides are clipped to the image's,
        which keeps the batch in one pass and gives the same box whenever the first draw fits.
        """
        n, _, height, width = images.shape
        draw = torch.rand(5, n, generator=rng)
        area = (draw[0] * (self.area[1] - self.area[0]) + self.area[0]) * height * width
        ratio = draw[1] * (self.ratio[1] - self.ratio[0]) + self.ratio[0]
        h = (area * ratio).sqrt().round().clamp(1, height)
        w = (area / ratio).sqrt().round().clamp(1, width)
        top = (draw[2] * (height - h + 1)).floor()
        left = (draw[3] * (width - w + 1)).floor()
        h = torch.where(draw[4] < self.probability, h, torch.zeros_like(h))  # an empty box
        erased = box_mask(top, left, top + h, left + w, height, width, images.device)
        return Mixed(filled(images, erased, self.fill, rng))
