"""The lattice GridMix of IlyaDobrynin/GridMixup and Westlake-AI/openmixup (@37e1372): a lattice of holes shows the partner.

NOTE: this isn't the GridMix of Baek, Bang and Shim (Pattern Recognition 2021), which those codes cite: that one gives every
cell of a grid to one of two images and adds a loss that says of each cell which class is seen in it.
"""

import torch
from torch import Generator, Tensor

from pretrain.augment.blend import BetaBlend, partners
from pretrain.augment.mixed import Mixed
from pretrain.core.ranges import CountRange, FractionRange, PositiveRange
from pretrain.core.upload import upload


class GridMix(BetaBlend):
    """Cuts a lattice of square holes into a box of each image, through which its partner is seen."""

    holes: CountRange = (2, 6)
    """Holes across the box, drawn uniformly."""
    area: FractionRange = (0.5, 1.0)
    """Fraction of the image's area that the box has, drawn uniformly."""
    ratio: PositiveRange = (0.5, 2.0)
    """Height over width of the box, drawn uniformly; a side longer than the image's is as long as it."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`.

        A cell of the lattice is a square, and so is its hole: √(1 − λ) of the cell's side, at least a pixel and at most all but
        one. The weight is the fraction of pixels that stay. NOTE: the published codes draw one lattice per batch.
        """
        n, _, height, width = images.shape
        partner = partners(n, rng, images.device)
        side = (1 - self.shares(n, rng)).sqrt()
        draw = torch.rand(5, n, generator=rng)
        across = self.holes[0] + (draw[0] * (self.holes[1] - self.holes[0] + 1)).floor()
        area = (self.area[0] + (self.area[1] - self.area[0]) * draw[1]) * height * width
        ratio = self.ratio[0] + (self.ratio[1] - self.ratio[0]) * draw[2]
        w = (area / ratio).sqrt().floor()
        h = (w * ratio).floor().clamp(1, height)
        w = w.clamp(1, width)
        top, left = (draw[3] * (height - h + 1)).floor(), (draw[4] * (width - w + 1)).floor()
        cell = (w / across).ceil()
        hole = (cell * side).floor().clamp(min=1).minimum(cell - 1)
        top, left, h, w, cell, hole = upload(torch.stack([top, left, h, w, cell, hole]), images.device)
        rows, columns = _striped(top, h, cell, hole, height), _striped(left, w, cell, hole, width)
        mask = (rows[:, :, None] & columns[:, None, :])[:, None]
        return self.pasted(images, images[partner], mask, partner)


def _striped(first: Tensor, length: Tensor, cell: Tensor, hole: Tensor, whole: int) -> Tensor:
    """Mark (N, whole) the first `hole` pixels of every `cell` pixels in the stretch of `length` pixels from `first` on."""
    at = torch.arange(whole, device=first.device) - first[:, None]
    return (at >= 0) & (at < length[:, None]) & (at % cell[:, None] < hole[:, None])
