"""Running totals of the measures over images, and the metrics with their intervals that come of them.

Shapes: N images of a batch, D features, B bootstrap replicates.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pretrain.inputs import generator
from transfer.representation import definitions
from transfer.representation.bootstrap import Interval, Means, counts, interval

JACKKNIFE = 10
"""Parts that are left out in turn for the interval of the effective rank, which resampled images would lower."""
NORMAL_95 = 1.96
"""Standard errors on either side of a normal estimate that hold 95 % of it."""


@dataclass(frozen=True)
class BatchMeasures:
    """What is measured of a batch of images, on the CPU."""

    anchors: Tensor
    """(N, D) features of the centre crops."""
    values: dict[str, Tensor]
    """(N,) of each measure of single images."""

    def only(self, chosen: Tensor) -> "BatchMeasures":
        """Select some of its images by a mask (N,)."""
        return BatchMeasures(self.anchors[chosen], {name: value[chosen] for name, value in self.values.items()})


@dataclass
class Totals:
    """All sums over images, and the features that are compared with each other at the end."""

    means: Means = field(default_factory=Means)
    squares: Tensor | float = 0.0
    """(B + 1,) sum of the squared weights of the images."""
    features: list[Tensor] = field(default_factory=list)
    """Features (n, D) of the images of each batch that are compared with each other."""
    labels: list[Tensor] = field(default_factory=list)
    """Their labels (n,)."""

    def add(self, batch: BatchMeasures, labels: Tensor, compared: Tensor, *, seed: int, number: int) -> None:
        """Add a batch.

        Args:
            batch: Measures of its N images.
            labels: (N,).
            compared: (N,) which of them are compared with each other.
            seed: Seed of the run, which with the batch's number decides its bootstrap weights.
            number: The batch's place in the pass.
        """
        weights = counts(len(labels), generator(seed, number, "cpu", rank=1))
        self.squares = self.squares + weights.square().sum(dim=1)
        unit = nn.functional.normalize(batch.anchors, dim=-1)
        self.means.add(weights, **batch.values, direction=unit)
        self.features.append(batch.anchors[compared])
        self.labels.append(labels[compared])

    def results(self) -> tuple[dict[str, float | None], dict[str, Interval]]:
        """Return the metrics and their 95 % intervals; None for a metric that these images don't have."""
        found = {name: self.means.mean(name) for name in self.means.sums if name != "direction"}
        found["diversity"] = 1 - found["Ldiv"]
        assert isinstance(self.means.total, Tensor)
        assert isinstance(self.squares, Tensor)
        found["anisotropy"] = definitions.similarity_between(self.means.sums["direction"], self.means.total, self.squares)
        found |= self._of_pairs()
        metrics: dict[str, float | None] = {name: float(values[0]) for name, values in found.items()}
        intervals = {name: interval(values[1:]) for name, values in found.items()}
        for absent in ("diversity_cap", "knn_among"):  # blends have no known cap; neighbours need classes of two images
            metrics[absent] = metrics.get(absent)
        rank, around = _rank(torch.cat(self.features))
        return metrics | {"effective_rank": rank}, intervals | {"effective_rank": around}

    def _of_pairs(self) -> dict[str, Tensor]:
        """Compute the measures (B + 1,) that compare all pairs of images."""
        features, labels = torch.cat(self.features), torch.cat(self.labels)
        weights = counts(len(features), generator(0, 0, "cpu"))
        found = {"uniformity": definitions.uniformity(features, weights)}
        known = labels.bincount()[labels] > 1  # an image alone in its class can't be recognised by others
        if bool(known.any()):
            hits = definitions.neighbour_hits(features, labels)[known].double()
            found["knn_among"] = 100 * (weights[:, known] @ hits) / weights[:, known].sum(dim=1)
        return found


def merged(parts: list[Totals]) -> Totals:
    """Add up the totals of disjoint images."""
    whole = Totals()
    for part in parts:
        whole.squares = whole.squares + part.squares
        whole.means.total = whole.means.total + part.means.total
        for name, value in part.means.sums.items():
            whole.means.sums[name] = whole.means.sums[name] + value if name in whole.means.sums else value
        whole.features += part.features
        whole.labels += part.labels
    return whole


def _rank(features: Tensor) -> tuple[float, Interval]:
    """Return the effective rank of features (N, D) and its interval by the jackknife over parts."""
    rank = definitions.effective_rank(features)
    number = torch.arange(len(features)) % JACKKNIFE
    without = torch.tensor([definitions.effective_rank(features[number != part]) for part in range(JACKKNIFE)])
    error = float(((without - without.mean()).square().sum() * (JACKKNIFE - 1) / JACKKNIFE).sqrt())
    return rank, (rank - NORMAL_95 * error, rank + NORMAL_95 * error)
