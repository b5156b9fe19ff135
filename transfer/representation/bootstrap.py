"""Intervals over images: the bootstrap of means, in one pass, and the jackknife of what resampling would bias.

Every image counts a random number of times in each replicate, drawn from Poisson(1): for more than some dozen images the
multinomial bootstrap, without knowing their number beforehand (Chamandy et al. 2012). The numbers belong to the image and the
seed, so that neither the order of the images nor the parts they are measured in change an interval.

Shapes: N images of a batch, B replicates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from scipy.special import stdtrit
from torch import Tensor

from pretrain.inputs import generator

REPLICATES = 400
"""Replicates B; the ends of a 95 % interval are then known to about 0.8 percent of probability."""
LEVEL = 0.95
PARTS = 10
"""Parts of the images that the jackknife leaves out in turn."""
Interval = tuple[float, float]
Values = dict[str, float | None]


def counts(images: Sequence[int], seed: int) -> Tensor:
    """Draw how often each image counts, (B + 1, N): once in the first row, the estimate itself; as drawn in the others."""
    ones = torch.ones(REPLICATES, dtype=torch.float64)
    drawn = [torch.poisson(ones, generator=generator(seed, image, rank=1)) for image in images]
    return torch.cat([torch.ones(1, len(images), dtype=torch.float64), torch.stack(drawn, dim=1)])


@dataclass
class Means:
    """Running sums of named values over images, in all replicates at once."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    """Name → sum (B + 1, ...) of weight times value; the dots stand for the shape of one image's value."""
    total: Tensor | float = 0.0
    """(B + 1,) sum of the images' weights."""

    def add(self, weights: Tensor, **values: Tensor) -> None:
        """Add a batch: `weights` (B + 1, N), values (N, ...)."""
        self.total = self.total + weights.sum(dim=1)
        for name, value in values.items():
            added = torch.tensordot(weights, value.double(), dims=1)
            self.sums[name] = self.sums[name] + added if name in self.sums else added

    def mean(self, name: str) -> Tensor:
        """Return the mean of a value, (B + 1, ...), the estimate first."""
        summed = self.sums[name]
        assert isinstance(self.total, Tensor)
        return summed / self.total.view(-1, *[1] * (summed.dim() - 1))


def interval(replicates: Tensor) -> Interval:
    """Return the ends of the middle 95 % of replicates (B,)."""
    tail = (1 - LEVEL) / 2
    low, high = replicates[replicates.isfinite()].quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def jackknife(statistics: Callable[[Tensor], Values], n: int) -> tuple[Values, dict[str, Interval]]:
    """Compute statistics of n images, and their 95 % intervals from what they are without each tenth of them.

    Images drawn twice would lower a rank and every distance between neighbours, so these are left out instead.

    Args:
        statistics: Mask (n,) of the images to take → name → value, None where they have none. The images come in random order.
        n: Number of images.

    Returns:
        The statistics of all images, and the intervals of those that every part has, by Student's t; none for fewer images
        than parts, of which some would leave out nothing.
    """
    number = torch.arange(n) % PARTS
    whole = statistics(number >= 0)
    if n < PARTS:
        return whole, {}
    without = [statistics(number != part) for part in range(PARTS)]
    reach, around = float(stdtrit(PARTS - 1, (1 + LEVEL) / 2)), {}
    for name, value in whole.items():
        left = [values[name] for values in without]
        if value is not None and all(one is not None for one in left):
            spread = torch.tensor(left, dtype=torch.float64)
            error = float(((spread - spread.mean()).square().sum() * (PARTS - 1) / PARTS).sqrt())
            around[name] = (value - reach * error, value + reach * error)
    return whole, around
