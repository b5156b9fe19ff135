"""Bootstrap intervals of means over images, in one pass and in memory that does not grow with their number.

Every image counts a random number of times in each replicate, drawn from Poisson(1): for more than some dozen images the
multinomial bootstrap, without knowing their number beforehand (Chamandy et al. 2012).

Shapes: N images of a batch, B replicates.
"""

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

REPLICATES = 400
"""Replicates B; the ends of a 95 % interval are then known to about half a percent of probability."""
LEVEL = 0.95
Interval = tuple[float, float]


def counts(n: int, rng: Generator) -> Tensor:
    """Draw how often each image counts, (B + 1, N): once in the first row, the estimate itself; as drawn in the others."""
    drawn = torch.poisson(torch.ones(REPLICATES, n, dtype=torch.float64), generator=rng)
    return torch.cat([torch.ones(1, n, dtype=torch.float64), drawn])


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
