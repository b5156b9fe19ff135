"""ResizeMix (Qin et al. 2020, arXiv:2012.11101): the whole partner, made smaller, pasted into a random box."""

import torch
from torch import Generator, Tensor

from pretrain.augment.blend import Blend, partners
from pretrain.augment.boxes import box_mask, nearest, seen_through
from pretrain.augment.mixed import Mixed
from pretrain.core.ranges import FractionRange


class ResizeMix(Blend):
    """Pastes each image's whole partner, reduced in size, over a box of the image."""

    side: FractionRange = (0.1, 0.8)
    """Side of the box as a fraction of the image's, drawn uniformly. Published: 0.1 to 0.8."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`. The partner takes the nearest pixels (Westlake-AI/openmixup @37e1372).

        NOTE: that code draws one box per batch, clips it at the border and squeezes the partner into what is left; here every
        image has its own, wholly inside, so that the partner keeps its shape and an image's share is 1 − side².
        """
        n, _, height, width = images.shape
        partner = partners(n, rng, images.device)
        draw = torch.rand(3, n, generator=rng)
        side = self.side[0] + (self.side[1] - self.side[0]) * draw[0]
        if self._folded:
            side = torch.minimum(side, (1 - side.square()).sqrt())
        h, w = (side * height).floor().clamp(min=1), (side * width).floor().clamp(min=1)
        top, left = (draw[1] * (height - h + 1)).floor(), (draw[2] * (width - w + 1)).floor()
        rows, columns = (nearest(*row, images.device) for row in ((top, h, height), (left, w, width)))
        mask = box_mask(top, left, top + h, left + w, height, width, images.device)
        return self.pasted(images, seen_through(images[partner], rows, columns, "nearest"), mask, partner)
