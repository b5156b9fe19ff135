"""SnapMix (Huang, Wang and Tao 2021, arXiv:2012.04846; Shaoli-Huang/SnapMix @245bda4): labels by class activation, not by area.

Shapes: N images, H rows, W columns.
"""

import torch
from pydantic import Field
from torch import Generator, Tensor

from pretrain.augment.blend import partners
from pretrain.augment.boxes import box_mask, centred, linear, seen_through
from pretrain.augment.guide import Guided, shares_of
from pretrain.augment.mixed import Mixed
from pretrain.core.ranges import Probability
from pretrain.core.upload import upload


class SnapMix(Guided):
    """Draws a box of each image's partner over another box of the image; each label counts by what is seen of its class."""

    alpha: float = Field(5.0, gt=0)
    """Both parameters of the Beta distribution of what each box leaves of the image's area. Published: 5."""
    probability: Probability = 1.0
    """Probability of mixing an image at all. Published: 1."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`. The weight of a label is what is left of its image's class activation map, and
        that of the partner's what is pasted of its own: they need not add up to 1. Where there is no map, what is pasted counts
        by the area that it covers.

        NOTE: the published code draws one pair of boxes per batch. Of two images of one class it gives both labels the sum of
        both weights, so that their loss counts twice; here each has its own, and the loss counts by the sum.
        """
        n, _, height, width = images.shape
        partner = partners(n, rng, images.device)
        left, cut = self.shares(n, rng), self.shares(n, rng)
        draw = torch.rand(5, n, generator=rng)
        over = centred((1 - left).sqrt(), draw[0], draw[1], height, width)
        of = centred((1 - cut).sqrt(), draw[2], draw[3], height, width)
        mixes = (draw[4] < self.probability) & (_area(over) > 0) & (_area(of) > 0)
        chosen = upload(mixes, images.device).view(-1, 1, 1, 1)
        mask, source = (box_mask(*box, height, width, images.device) & chosen for box in (over, of))
        rows = linear(over[0], over[2] - over[0], of[0], of[2] - of[0], height, images.device)
        columns = linear(over[1], over[3] - over[1], of[1], of[3] - of[1], width, images.device)
        pasted = seen_through(images[partner], rows, columns, "bilinear")
        weights = self.weights(images, partner, mask[:, 0], source[:, 0])
        sources = torch.stack([torch.arange(n, device=images.device), partner], dim=1)
        return Mixed(torch.where(mask, pasted, images), sources, weights)

    def weights(self, images: Tensor, partner: Tensor, mask: Tensor, source: Tensor) -> Tensor:
        """Compute the weights (N, 2) of the labels of each image and its partner.

        Args:
            images: (N, 3, H, W).
            partner: (N,) indices.
            mask: (N, H, W), true where something is pasted.
            source: (N, H, W), true where it comes from.
        """
        maps = images.new_zeros(mask.shape) if self._guide is None else self._guide.maps["class activation"]
        shares, known = shares_of(maps), maps.flatten(1).sum(dim=1) > 0
        covered = mask.double().mean(dim=(1, 2))
        own = 1 - (shares * mask).sum(dim=(1, 2))
        other = torch.where(known[partner], (shares[partner] * source).sum(dim=(1, 2)), covered)
        return torch.stack([own, other], dim=1).clamp(0, 1).float()


def _area(box: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    top, left, bottom, right = box
    return (bottom - top) * (right - left)
