"""Bootstrap intervals of means over images, in one pass and in memory that does not grow with their number.

Every image counts a random number of times in each replicate, drawn from Poisson(1): for more than some dozen images the
multinomial bootstrap, without knowing their number beforehand (Chamandy et al. 2012).

Shapes: N images of a batch, B replicates.
"""

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

REPLICATES = 400
"""Draws; the ends of a 95 % interval are then known to about half a percent of probability."""
LEVEL = 0.95
Interval = tuple[float, float]


def counts(n: int, rng: Generator) -> Tensor:
    """(B + 1, N) how often each image counts: once in the first row, the estimate itself; as drawn in the others."""
    drawn = torch.poisson(torch.ones(REPLICATES, n, dtype=torch.float64), generator=rng)
    return torch.cat([torch.ones(1, n, dtype=torch.float64), drawn])


@dataclass
class Means:
    """Running sums of named values over images, in all replicates at once."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    """(B + 1,) of each name; whatever shape a value has comes after."""
    total: Tensor | float = 0.0
    """(B + 1,) images."""

    def add(self, weights: Tensor, **values: Tensor) -> None:
        """Add a batch: `weights` (B + 1, N), values (N, ...)."""
        self.total = self.total + weights.sum(dim=1)
        for name, value in values.items():
            added = torch.tensordot(weights, value.double(), dims=1)
            self.sums[name] = self.sums[name] + added if name in self.sums else added

    def mean(self, name: str) -> Tensor:
        """(B + 1, ...) mean of a value; the estimate first."""
        summed = self.sums[name]
        assert isinstance(self.total, Tensor)
        return summed / self.total.view(-1, *[1] * (summed.dim() - 1))


def interval(replicates: Tensor) -> Interval:
    """The middle 95 % of replicates (B,)."""
    tail = (1 - LEVEL) / 2
    low, high = replicates[replicates.isfinite()].quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high
