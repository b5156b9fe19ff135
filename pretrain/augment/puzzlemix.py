"""Puzzle Mix (Kim et al. 2020, arXiv:2009.06962; snu-mllab/PuzzleMix @e2dbf3a), without labels: the contrast's saliency.

Shapes: N images, H rows, W columns, B blocks a side.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from pretrain.augment.blend import partners
from pretrain.augment.guide import Guide, Guided, shares_of
from pretrain.augment.mincut import cheapest
from pretrain.augment.mixed import Mixed, pairs
from pretrain.core.errors import ConfigError
from pretrain.core.upload import upload
from pretrain.images.normalise import IMAGENET_STD

BLOCKS = (2, 4, 8, 16)
"""Blocks a side, of which each batch draws one."""
BORDER = 4
"""Pixels a side at most over whose mean images are compared across the border of two blocks."""
SCALE = 1000
"""Costs of a grid of B × B blocks become whole numbers by this times B²."""
EPSILON = 1e-8
"""Keeps the logarithm of a probability finite."""


class Energy(NamedTuple):
    """What the labels of blocks cost: label 0 shows the image, 2 its partner, 1 their mean."""

    costs: Tensor
    """(N, B, B, 3)."""
    down: Tensor
    """(N, B − 1, B) weights of a block and the one below it."""
    right: Tensor
    """(N, B, B − 1) weights of a block and the one right of it."""


class PuzzleMix(Guided):
    """Shows of each image and its partner the blocks that matter most in them, in one piece where it can."""

    smoothness: float = Field(1.2, ge=0)
    """Cost of neighbouring blocks with different labels."""
    image_smoothness: float = Field(0.5, ge=0, le=1)
    """How far that cost follows what is seen on both sides of the border; at most 1, beyond which no cut is exact."""
    prior: float = Field(0.2, ge=0)
    """Weight of the binomial law of the labels, whose mean is λ."""
    transport: bool = True
    """Move blocks that matter to where they are shown."""
    distance: float = Field(0.8, ge=0)
    """Cost of moving a block across the image."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`. The weight is the mean of the mask.

        NOTE: in the published code the batch shares λ, gradients are of the classification loss, swaps of labels find a mask
        near the cheapest where 32-bit costs don't overflow, and a place that no block moved to is black. Here every image has
        its own λ, gradients are of the loss at hand, the mask is the cheapest, and such a place keeps its own block. The
        blocks that move are those of the mask, as in that code's ImageNet script.
        """
        n, _, height, width = images.shape
        guide = self._guide or Guide(images, {"saliency": images.new_zeros(n, height, width)})
        blocks = _blocks(guide.images, rng)
        _require(images, (blocks,))
        order = partners(n, rng, torch.device("cpu"))
        share = self.shares(n, rng)
        saliency = shares_of(F.adaptive_avg_pool2d(guide.maps["saliency"], blocks))
        mask = upload(self.masks(guide.images, saliency, order, share), images.device)
        partner = upload(order, images.device)
        over, under = images[partner], images
        if self.transport:
            under, over = self.moved(under, mask, saliency), self.moved(over, 1 - mask, saliency[partner])
        weight = mask.mean(dim=(1, 2))
        whole = _spread(mask.to(images.dtype), height, width)[:, None]
        return Mixed(whole * under + (1 - whole) * over, *pairs(partner, weight.float()))

    def masks(self, images: Tensor, saliency: Tensor, partner: Tensor, share: Tensor) -> Tensor:
        """Find the cheapest masks (N, B, B), on the CPU, the fraction of each block's own image: 0, 1/2 or 1.

        Where shares are folded and an image is left with less than half, its λ moves half-way to 1 until it isn't.

        Args:
            images: (N, 3, H, W), normalised.
            saliency: (N, B, B), which adds up to 1.
            partner: (N,) indices, on the CPU.
            share: (N,) λ, on the CPU.
        """
        share, seen = share.double(), self.seen(images, saliency, partner)
        masks = _cheapest(self.with_prior(seen, share))
        while self._folded and bool((few := masks.mean(dim=(1, 2)) < 0.5).any()):
            share = torch.where(few, (1 + share) / 2, share)
            masks[few] = _cheapest(Energy(*(part[few] for part in self.with_prior(seen, share))))
        return masks

    def energy(self, images: Tensor, saliency: Tensor, partner: Tensor, share: Tensor) -> Energy:
        """Compute what the labels of blocks cost, on the CPU; the arguments are those of `masks`."""
        return self.with_prior(self.seen(images, saliency, partner), share)

    def with_prior(self, seen: Energy, share: Tensor) -> Energy:
        """Add what the labels cost that are unlikely at shares λ (N,)."""
        law = torch.stack([share**2, 2 * share * (1 - share), (1 - share) ** 2], dim=1)
        prior = -self.prior / seen.costs.shape[1] ** 2 * (law + EPSILON).log()
        return seen._replace(costs=seen.costs + prior[:, None, None, :])

    def seen(self, images: Tensor, saliency: Tensor, partner: Tensor) -> Energy:
        """Compute what the labels of blocks cost by what is seen there, on the CPU, which makes the cuts; see `masks`.

        NOTE: the one place in a step where the CPU waits for a GPU.
        """
        blocks = saliency.shape[-1]
        smooth = self.smoothness / (16 * blocks)
        there = upload(partner, images.device)
        borders = self.borders(images, there, blocks, smooth), self.borders(images.mT, there, blocks, smooth)
        saliency, vertical, horizontal = (part.cpu() for part in (saliency, *borders))
        lost = torch.stack([saliency[partner], saliency], dim=1)  # (N, 2, B, B), of showing the image, and its partner
        _charge(lost, vertical)
        _charge(lost.mT, horizontal)
        own, other = lost.unbind(dim=1)
        costs = torch.stack([own, (own + other) / 2, other], dim=-1)
        return Energy(costs, smooth + _apart(vertical), smooth + _apart(horizontal).mT)

    def borders(self, images: Tensor, partner: Tensor, blocks: int, smooth: float) -> Tensor:
        """Compare images across the borders of blocks.

        Returns:
            (N, 2, 2, B − 1, B): how far apart an upper block and the one below it are, of the image (0) or its partner (1).
        """
        size = images.shape[2] // blocks
        width = images.shape[3] // blocks
        deviation = upload(torch.tensor(IMAGENET_STD, dtype=images.dtype), images.device).view(1, -1, 1, 1)
        pooled = F.avg_pool2d(images * deviation, (_pool(size), _pool(width)))
        step, each = size // _pool(size), width // _pool(width)
        upper, lower = pooled[:, :, step - 1 : -1 : step], pooled[:, :, step::step]
        rows = []
        for above in (upper, upper[partner]):
            apart = [(above - below).abs().mean(dim=1, keepdim=True) for below in (lower, lower[partner])]
            rows.append(torch.cat([F.avg_pool2d(one, (1, each)) for one in apart], dim=1))
        return smooth * self.image_smoothness * torch.stack(rows, dim=1).double()

    def moved(self, images: Tensor, shown: Tensor, saliency: Tensor) -> Tensor:
        """Move the blocks of images (N, 3, H, W) that matter most to where they are shown.

        Args:
            images: The images.
            shown: (N, B, B) fraction that is seen of the image in each block.
            saliency: (N, B, B), which adds up to 1.
        """
        n, channels, height, width = images.shape
        blocks = shown.shape[-1]
        origin = plan(shown.flatten(1) > 0, saliency.flatten(1), self.distance, blocks)
        tall, wide = height // blocks, width // blocks
        parts = images.reshape(n, channels, blocks, tall, blocks, wide).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        parts = parts.gather(1, origin.view(n, -1, 1, 1, 1).expand(-1, -1, channels, tall, wide))
        parts = parts.unflatten(1, (blocks, blocks)).permute(0, 3, 1, 4, 2, 5)
        return parts.reshape(n, channels, height, width).contiguous(memory_format=torch.channels_last)


def plan(shown: Tensor, saliency: Tensor, distance: float, blocks: int) -> Tensor:
    """Find which block (N, B²) each place gets: every block asks for the place that is cheapest for it, and a place takes the
    cheapest that asks; the others pay 1 more there, and ask again, B times in all. A place that none asks for keeps its own.

    Args:
        shown: (N, B²), whether anything of the image is seen at a place.
        saliency: (N, B²) of the blocks.
        distance: Cost of moving a block across the image.
        blocks: B.
    """
    rows = torch.arange(blocks, device=saliency.device)
    square = (rows[:, None] - rows).square()
    apart = (square[:, None, :, None] + square[None, :, None, :]).reshape(blocks**2, blocks**2) / (blocks - 1) ** 2
    cost = distance * apart - saliency[:, :, None] * shown[:, None, :]
    own = torch.arange(blocks**2, device=saliency.device)
    for _ in range(blocks):
        asked = torch.zeros_like(cost, dtype=torch.bool).scatter_(2, cost.argmin(dim=2, keepdim=True), True)
        best = cost.masked_fill(~asked, torch.inf).argmin(dim=1)
        cost = cost + (asked & (own[:, None] != best[:, None, :]))
    return torch.where(asked.any(dim=1), best, own)


def _blocks(images: Tensor, rng: Generator) -> int:
    """Draw the number of blocks a side of a batch, of those into which the images divide."""
    allowed = _require(images, BLOCKS)
    return allowed[int(torch.randint(len(allowed), (1,), generator=rng))]


def _require(images: Tensor, blocks: tuple[int, ...]) -> list[int]:
    height, width = images.shape[2:]
    allowed = [count for count in blocks if height % count == 0 and width % count == 0]
    if not allowed:
        seen, allowed_sides = f"{height} × {width} pixels", f"sides that {' or '.join(map(str, blocks))} divides"
        raise ConfigError("puzzlemix can't divide a view into blocks", seen=seen, allowed=allowed_sides)
    return allowed


def _pool(size: int) -> int:
    """Return the largest side up to `BORDER` that divides a block's."""
    return max(side for side in range(1, BORDER + 1) if size % side == 0)


def _charge(lost: Tensor, apart: Tensor) -> None:
    """Add to the costs (N, 2, B, B) of showing an image or its partner in a block half of what it is apart, on average over
    what these show, from the blocks above and below it (N, 2, 2, B − 1, B); in place.
    """
    lost[:, :, :-1] += apart.sum(dim=2) / 2
    lost[:, :, 1:] += apart.sum(dim=1) / 2


def _apart(apart: Tensor) -> Tensor:
    """Compute by how much more two blocks are apart (N, B − 1, B) where one shows the image and the other its partner."""
    return (apart[:, 0, 1] + apart[:, 1, 0] - apart[:, 0, 0] - apart[:, 1, 1]) / 2


def _cheapest(energy: Energy) -> Tensor:
    """Find the masks (N, B, B) of least energy."""
    # Four times the costs: the square of the difference of two labels, in halves, is then a whole number of weights.
    scale = SCALE * energy.costs.shape[1] ** 2
    costs, down, right = ((part * scale).trunc().clamp(min=0).long().numpy() for part in energy)
    labels = [cheapest(4 * cost, *weights) for cost, *weights in zip(costs, down, right, strict=True)]
    return 1 - torch.from_numpy(np.stack(labels)).to(energy.costs) / 2


def _spread(blocks: Tensor, height: int, width: int) -> Tensor:
    """Give every pixel (N, H, W) the value of its block (N, B, B)."""
    size = blocks.shape[-1]
    return blocks.repeat_interleave(height // size, dim=1).repeat_interleave(width // size, dim=2)
