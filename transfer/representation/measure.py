"""One pass over held-out images that measures everything `transfer.representation.definitions` defines.

Shapes: N images of a batch, M views, S sources of a blend, D features.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from pretrain.augment.mixed import Mixed
from pretrain.core.errors import DataError
from pretrain.core.journal import Journal
from pretrain.images.crops import CentreCrop, Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, in_order, loader
from pretrain.inputs import generator, normalised
from transfer.representation import definitions
from transfer.representation.bootstrap import Interval
from transfer.representation.features import extractor
from transfer.representation.settings import SMALL, MeasureSettings, Viewer
from transfer.representation.totals import BatchMeasures, Totals, merged
from transfer.sources import Backbone

__all__ = ["SMALL", "VERSION", "MeasureSettings", "Measured", "measure"]

VERSION = 3
"""Version of the measure; raised with every change that moves a number."""
MOST_COMPARED = 2048
"""Images at most that are compared with each other, spread evenly: their features are kept, and all pairs computed."""


@dataclass(frozen=True)
class Measured:
    """The results of a pass."""

    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    """95 % bootstrap intervals over images."""
    proof: dict[str, float]


def measure(
    backbone: Backbone,
    images: ImageSet,
    settings: MeasureSettings,
    journal: Journal,
    *,
    seed: int,
    device: str,
    splits: int = 1,
) -> list[Measured]:
    """Measure on all chosen images and, with `splits` of 2 or more, on that many disjoint parts of them.

    Returns:
        The measure on all images, then on each part.

    Raises:
        ConfigError: For an unknown pipeline or augmentation, or a size that the backbone can't see.
        DataError: If there are too few images.
    """
    if len(images) < 2 * splits:
        raise DataError("too few images to measure on", seen=len(images), allowed=f"at least {2 * splits}")
    backbone.architecture.require_size(settings.size)
    viewer = settings.viewer()
    model, proof = extractor(backbone, device)
    networks = _Networks(model, _head(backbone.projector, device), device)
    chosen = torch.linspace(0, len(images) - 1, min(settings.images, len(images))).long().tolist()
    batches = [[(0, chosen[i]) for _, i in batch] for batch in in_order(len(chosen), settings.batch)]
    cuts: list[Crop | CentreCrop] = [CentreCrop(settings.size), *[viewer.crop] * settings.views]
    every = -(-len(chosen) // MOST_COMPARED)
    parts = [Totals() for _ in range(splits)]
    with torch.inference_mode():
        source = Crops(images, images.labels, cuts, seed=seed)
        for done, (crops, labels, _) in enumerate(loader(source, batches, num_workers=settings.num_workers)):
            batch = networks.measures(viewer, crops, generator(seed, done, device))
            position = torch.arange(len(labels)) + done * settings.batch
            for split, total in enumerate(parts):
                mine = position % splits == split
                compared = position[mine] // splits % every == 0
                total.add(batch.only(mine), labels[mine], compared, seed=seed, number=done)
            journal.step("representation", done + 1, len(batches))
    whole = [merged(parts)] if splits > 1 else []
    return [Measured(*total.results(), proof) for total in [*whole, *parts]]


@dataclass(frozen=True)
class _Networks:
    """The frozen trunk, and the projector of its pre-training where it comes with one."""

    trunk: nn.Module
    projector: nn.Module | None
    device: str

    def measures(self, viewer: Viewer, crops: list[Tensor], rng: Generator) -> BatchMeasures:
        """Measure a batch: `crops` are the N centre crops, then M times N random crops, each (N, 3, S, S) uint8."""
        anchors = self.trunk(normalised(crops[0].to(self.device).float() / 255))
        seen = [viewer(crop.to(self.device), rng) for crop in crops[1:]]
        views = self.trunk(torch.cat([view.images for view in seen])).unflatten(0, (len(seen), -1)).transpose(0, 1)
        values = _of_views(anchors, views, seen)
        if self.projector is not None:
            behind, seen_behind = self.projector(anchors), self.projector(views)
            values["projector_Linv"] = definitions.invariance(behind, seen_behind)
            values["projector_Ldiv"] = definitions.view_similarity(seen_behind)
        return BatchMeasures(anchors.cpu(), {name: value.cpu() for name, value in values.items()})


def _of_views(anchors: Tensor, views: Tensor, seen: list[Mixed]) -> dict[str, Tensor]:
    """Compute the measures (N,) of single images from features of anchors (N, D) and of their views (N, M, D)."""
    linv = definitions.invariance(anchors, views)
    values = {"Linv": linv, "Ldiv": definitions.view_similarity(views), "alignment": definitions.alignment(views)}
    if all(view.sources is None for view in seen):
        return values | {"diversity_cap": definitions.diversity_cap(linv, len(seen))}
    sources = torch.stack([view.sources for view in seen if view.sources is not None], dim=1)
    weights = torch.stack([view.weights for view in seen if view.weights is not None], dim=1)
    return values | {"Linv_primary": linv, "Linv": definitions.blended_invariance(anchors, views, sources, weights)}


def _head(projector: nn.Module | None, device: str) -> nn.Module | None:
    """Copy the projector to the device, in eval mode; None where the backbone has none."""
    return None if projector is None else copy.deepcopy(projector).to(device).eval().requires_grad_(False)
