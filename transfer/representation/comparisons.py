"""What images are like beside each other: the measures that need the features of many images at once.

Shapes: N images, M views, D features, E features of a reference, B bootstrap replicates.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from transfer.representation import definitions, similarity, spanning_tree, spectrum, whitening
from transfer.representation.bootstrap import Interval, Values, counts, interval, jackknife


@dataclass(frozen=True)
class Images:
    """Images of one pass, on the CPU; a batch of them, or all."""

    place: Tensor
    """(N,) their places in the pass."""
    index: Tensor
    """(N,) their indices among the images of the data."""
    labels: Tensor
    """(N,)."""
    anchors: Tensor
    """(N, D) features of the centre crops."""
    views: Tensor
    """(N, M, D) features of the views."""
    reference: Tensor
    """(N, E) features of the centre crops by another network; E is 0 where there is none."""

    def only(self, chosen: Tensor) -> Self:
        """Select some of them by a mask or by indices."""
        return type(self)(*(value[chosen] for value in vars(self).values()))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Put batches together, in the order of the pass."""
        whole = cls(*map(torch.cat, zip(*(vars(part).values() for part in parts), strict=True)))
        return whole.only(whole.place.argsort())


def of_spectrum(anchors: Tensor) -> tuple[Values, dict[str, Interval]]:
    """Compute the measures of the spectrum of features (N, D), with N and D, and their 95 % intervals."""
    found, around = jackknife(lambda kept: spectrum.measures(anchors[kept]), len(anchors))
    return found | {"measured_images": len(anchors), "feature_dimensions": anchors.shape[1]}, around


def of_pairs(images: Images, seed: int) -> tuple[Values, dict[str, Interval]]:
    """Compute the measures that compare each image with every other, and their 95 % intervals."""
    weights = counts(images.index.tolist(), seed)
    resampled = {"uniformity": definitions.uniformity(images.anchors, weights), **_neighbours(images, weights)}
    views = whitening.reduced(images.views)
    if views is not None:
        resampled["whitened_distance"] = weights @ whitening.view_distance(views) / weights.sum(dim=1)
    found: Values = {name: float(values[0]) for name, values in resampled.items()}
    around = {name: interval(values[1:]) for name, values in resampled.items()}
    left_out, around_them = _left_out(images, views)
    return {"knn_among": None, "whitened_distance": None} | found | left_out, around | around_them


def _neighbours(images: Images, weights: Tensor) -> dict[str, Tensor]:
    """Compute the accuracy (B + 1,) of the nearest other images, where a class has two of them."""
    known = images.labels.bincount()[images.labels] > 1  # an image alone in its class can't be recognised by others
    if not bool(known.any()):
        return {}
    hits = definitions.neighbour_hits(images.anchors, images.labels)[known].double()
    return {"knn_among": 100 * (weights[:, known] @ hits) / weights[:, known].sum(dim=1)}


def _left_out(images: Images, views: Tensor | None) -> tuple[Values, dict[str, Interval]]:
    """Compute the measures whose intervals come from leaving images out; `views` (N, M, K) are reduced."""
    distances = torch.cdist(images.anchors.double(), images.anchors.double()).numpy()
    ours = similarity.gram(images.anchors)
    theirs = similarity.gram(images.reference) if images.reference.shape[1] else None

    def statistics(kept: Tensor) -> Values:
        found: Values = {"LiDAR": None if views is None else whitening.lidar(views[kept])}
        found["tree_dimension"] = spanning_tree.dimension(distances, kept.numpy())
        if theirs is not None:
            found["CKA"] = similarity.cka(ours[kept][:, kept], theirs[kept][:, kept])
        return found

    return jackknife(statistics, len(images.place))
