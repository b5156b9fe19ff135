"""One pass over held-out images that measures everything `transfer.representation.definitions` defines.

Shapes: N images of a batch, M views, S sources of a blend, D features.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pretrain.augment.mixed import Mixed
from pretrain.core import distributed
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal
from pretrain.core.workers import count
from pretrain.images.crops import CentreCrop, Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, loader
from pretrain.images.normalise import Input
from pretrain.images.skipping import Skipped
from pretrain.inputs import generator, normalised
from transfer.representation import definitions
from transfer.representation.bootstrap import Interval
from transfer.representation.comparisons import Images
from transfer.representation.features import extractor
from transfer.representation.settings import SMALL, MeasureSettings, Viewer
from transfer.representation.totals import BatchMeasures, Totals, merged
from transfer.sources import Backbone
from transfer.tasks.probe import USUAL

__all__ = ["SMALL", "VERSION", "MeasureSettings", "Measured", "measure"]

VERSION = 4
"""Version of the measure; raised with every change that moves a number."""
ORDER = 4
"""Separates the order of the images from the other random numbers of the same seed."""
MOST_COMPARED = 2048
"""Images at most that are compared with each other, spread evenly over the classes: of these all views' features are kept."""


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
    reference: Backbone | None = None,
    skipped: Skipped | None = None,
) -> list[Measured]:
    """Measure on all chosen images and, with `splits` of 2 or more, on that many disjoint parts of them.

    Args:
        skipped: Records unreadable images, which are then replaced; None: they raise errors.

    Returns:
        The measure on all images, then on each part; nothing in processes after the first. `CKA` is of them only with a
        `reference`, which sees the same images.

    Raises:
        ConfigError: For an unknown pipeline or augmentation, a size that a backbone can't see, features that it lacks, or more
            parts than the chosen images fill.
        DataError: If there are too few images.
    """
    chosen, every = _chosen(len(images), settings.images, splits)
    for each in (backbone, *([reference] if reference else [])):
        settings.require(each.architecture)
    viewer = settings.viewer()
    model, proof = extractor(backbone, device, settings.features)
    beside = extractor(reference, device, settings.features)[0] if reference else None
    seen = (backbone.recipe.seen, (reference or backbone).recipe.seen)
    networks = _Networks(model, _head(backbone if settings.features == USUAL else None, device), beside, device, seen)
    batches = shuffled(len(chosen), settings.batch, seed)
    cuts: list[Crop | CentreCrop] = [CentreCrop(settings.size), *[viewer.crop] * settings.views]
    parts = [Totals(seed) for _ in range(splits)]
    with torch.inference_mode():
        source = Crops(images, images.labels, cuts, seed=seed, skipped=skipped)
        for done, batch in enumerate(_measured(networks, viewer, source, [chosen[each] for each in batches], settings, seed)):
            for split, total in enumerate(parts):
                mine = batches[done] // every % splits == split
                if mine.any():
                    total.add(batch.only(mine), compared=batches[done][mine] % every == 0)
            journal.step("representation", done + 1, len(batches))
    if distributed.rank():
        return []
    whole = [merged(parts)] if splits > 1 else []
    return [Measured(*total.results(), proof) for total in [*whole, *parts]]


def _measured(
    networks: "_Networks", viewer: Viewer, source: Crops, batches: Sequence[Tensor], settings: MeasureSettings, seed: int
) -> Iterator[BatchMeasures]:
    """Measure batches of images, given by their indices: each whole in one process, which yields all in order in the first."""
    numbers, firsts = distributed.dealt(range(len(batches))), [0, *accumulate(map(len, batches))]
    positions = [[(0, index) for index in batches[number].tolist()] for number in numbers]
    workers = count(settings.num_workers, networks.device, on_cpu=0)
    loaded = iter(loader(source, positions, num_workers=workers))
    for first in range(0, len(batches), distributed.world()):
        number, mine = first + distributed.rank(), list[BatchMeasures]()
        if number < len(batches):
            crops, labels, index = next(loaded)
            known = (firsts[number], index, labels)
            mine.append(networks.measures(viewer, crops, generator(seed, number), known))
        yield from distributed.collected(mine)


def _chosen(images: int, wanted: int, splits: int) -> tuple[Tensor, int]:
    """Choose images evenly; returns their indices, and that every how many of them are compared with each other.

    Raises:
        ConfigError: If the parts are too many for the images that are compared.
        DataError: If there are too few images.
    """
    if images < 2 * splits:
        raise DataError("too few images to measure on", seen=images, allowed=f"at least {2 * splits}")
    chosen = torch.linspace(0, images - 1, min(wanted, images)).long()
    every = -(-len(chosen) // MOST_COMPARED)
    compared = -(-len(chosen) // every)
    if compared < 2 * splits:
        raise ConfigError(
            "too few images are compared to measure on parts of them",
            seen=f"{compared} images in {splits} parts",
            allowed="at least 2 images in each part",
            fix=f"at most --splits {compared // 2}, or --set images=..., of which at most {MOST_COMPARED} are compared",
        )
    return chosen, every


def shuffled(images: int, batch: int, seed: int) -> list[Tensor]:
    """Deal images 0 to `images` − 1 in a seeded order into batches of nearly equal size, each at most `batch`.

    The images come in the order of their classes, in which a blend's partner would mostly be of its own class. In training it
    is of any.
    """
    order = torch.from_numpy(np.random.default_rng((seed, ORDER)).permutation(images))
    return list(order.tensor_split(-(-images // batch)))


@dataclass(frozen=True)
class _Networks:
    """The frozen trunk, the projector of its pre-training where it comes with one, and a trunk to compare with."""

    trunk: nn.Module
    projector: nn.Module | None
    reference: nn.Module | None
    device: str
    seen: tuple[Input, Input]
    """What the trunk and the reference see."""

    def measures(self, viewer: Viewer, crops: list[Tensor], rng: Generator, known: tuple[int, Tensor, Tensor]) -> BatchMeasures:
        """Measure a batch.

        Args:
            viewer: Turns crops into views.
            crops: The N centre crops, then M times N random crops, each (N, 3, S, S) uint8.
            rng: Source of the views' randomness.
            known: The place of the first image in the pass, then the images' indices (N,) and labels (N,).
        """
        centres = crops[0].to(self.device).float() / 255
        anchors = self.trunk(normalised(centres, self.seen[0]))
        seen = [viewer(crop.to(self.device), rng, self.seen[0]) for crop in crops[1:]]
        views = self.trunk(torch.cat([view.images for view in seen])).unflatten(0, (len(seen), -1)).transpose(0, 1)
        values = _of_views(anchors, views, seen)
        if self.projector is not None:
            behind = self.projector(anchors)
            # Norms of a projector take features of images, one row each.
            seen_behind = self.projector(views.flatten(0, 1)).unflatten(0, views.shape[:2])
            values["projector_Linv"] = definitions.invariance(behind, seen_behind)
            values["projector_Ldiv"] = definitions.view_similarity(seen_behind)
        beside = anchors[:, :0] if self.reference is None else self.reference(normalised(centres, self.seen[1]))
        first, index, labels = known
        places = torch.arange(first, first + len(labels))
        found = Images(places, index, labels, anchors.cpu(), views.cpu(), beside.cpu())
        return BatchMeasures(found, {name: value.cpu() for name, value in values.items()})


def _of_views(anchors: Tensor, views: Tensor, seen: list[Mixed]) -> dict[str, Tensor]:
    """Compute the measures (N,) of single images from features of anchors (N, D) and of their views (N, M, D)."""
    linv = definitions.invariance(anchors, views)
    values = {"Linv": linv, "Ldiv": definitions.view_similarity(views), "alignment": definitions.alignment(views)}
    if all(view.sources is None for view in seen):
        return values | {"diversity_cap": definitions.diversity_cap(linv, len(seen))}
    sources = torch.stack([view.sources for view in seen if view.sources is not None], dim=1)
    weights = torch.stack([view.weights for view in seen if view.weights is not None], dim=1)
    return values | {"Linv_primary": linv, "Linv": definitions.blended_invariance(anchors, views, sources, weights)}


def _head(backbone: Backbone | None, device: str) -> nn.Module | None:
    """Copy a backbone's projector to the device, in eval mode; None where it has none, or no backbone's is wanted."""
    projector = backbone.projector if backbone else None
    return None if projector is None else copy.deepcopy(projector).to(device).eval().requires_grad_(False)
