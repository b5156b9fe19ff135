"""Running totals of the measures over images, and the metrics with their intervals that come of them.

Shapes: N images of a batch, D features, B bootstrap replicates.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from transfer.representation import comparisons, definitions
from transfer.representation.bootstrap import Interval, Means, Values, counts, interval
from transfer.representation.comparisons import Images


@dataclass(frozen=True)
class BatchMeasures:
    """What is measured of a batch of images, on the CPU."""

    images: Images
    values: dict[str, Tensor]
    """(N,) of each measure of single images."""

    def only(self, chosen: Tensor) -> "BatchMeasures":
        """Select some of its images by a mask (N,)."""
        return BatchMeasures(self.images.only(chosen), {name: value[chosen] for name, value in self.values.items()})


@dataclass
class Totals:
    """All sums over images, and the features that are compared with each other at the end."""

    seed: int
    """Seed of the run, which decides with an image's index how often it counts."""
    means: Means = field(default_factory=Means)
    squares: Tensor | float = 0.0
    """(B + 1,) sum of the squared weights of the images."""
    anchors: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Places in the pass (n,) and features (n, D) of the images of each batch."""
    compared: list[Images] = field(default_factory=list)
    """The images of each batch that are compared with each other."""

    def add(self, batch: BatchMeasures, compared: Tensor) -> None:
        """Add a batch; `compared` (N,) says which of its images are compared with each other."""
        weights = counts(batch.images.index.tolist(), self.seed)
        self.squares = self.squares + weights.square().sum(dim=1)
        unit = nn.functional.normalize(batch.images.anchors, dim=-1)
        self.means.add(weights, **batch.values, direction=unit)
        self.anchors.append((batch.images.place, batch.images.anchors))
        self.compared.append(batch.images.only(compared))

    def results(self) -> tuple[Values, dict[str, Interval]]:
        """Return the metrics and their 95 % intervals; None for a metric that these images don't have."""
        found = {name: self.means.mean(name) for name in self.means.sums if name != "direction"}
        found["diversity"] = 1 - found["Ldiv"]
        assert isinstance(self.means.total, Tensor)
        assert isinstance(self.squares, Tensor)
        found["anisotropy"] = definitions.similarity_between(self.means.sums["direction"], self.means.total, self.squares)
        metrics: Values = {name: float(values[0]) for name, values in found.items()}
        metrics.setdefault("diversity_cap", None)  # blends have no known cap
        intervals = {name: interval(values[1:]) for name, values in found.items()}
        places, anchors = (torch.cat(each) for each in zip(*self.anchors, strict=True))
        images = Images.joined(self.compared)
        for more, around in (comparisons.of_spectrum(anchors[places.argsort()]), comparisons.of_pairs(images, self.seed)):
            metrics, intervals = metrics | more, intervals | around
        return metrics, intervals


def merged(parts: list[Totals]) -> Totals:
    """Add up the totals of disjoint images."""
    whole = Totals(parts[0].seed)
    for part in parts:
        whole.squares = whole.squares + part.squares
        whole.means.total = whole.means.total + part.means.total
        for name, value in part.means.sums.items():
            whole.means.sums[name] = whole.means.sums[name] + value if name in whole.means.sums else value
        whole.anchors += part.anchors
        whole.compared += part.compared
    return whole
