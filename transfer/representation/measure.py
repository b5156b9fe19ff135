"""One pass over held-out images that measures everything `transfer.representation.definitions` defines.

Shapes: N images of a batch, M views, S sources of a blend, D features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn

from pretrain import augment
from pretrain.augment.mixed import Augmentation, Mixed
from pretrain.augment.views import PIPELINES
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal
from pretrain.core.settings import Settings
from pretrain.images.crops import CentreCrop, Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, in_order, loader
from pretrain.inputs import generator, normalised
from transfer.board.columns import NO_PROBE, REPRESENTATION
from transfer.record import Probe
from transfer.representation import definitions
from transfer.representation.bootstrap import Interval, Means, counts, interval
from transfer.representation.features import extractor
from transfer.sources import Backbone

VERSION = 3
"""Of the measure; raised with every change that moves a number."""
KEPT = 2048
"""Images at most whose features are kept, evenly spread: what compares all pairs is computed on these."""
JACKKNIFE = 10
"""Parts that are left out in turn for the interval of the effective rank, which resampled images would lower."""


class MeasureSettings(Settings):
    """How views are drawn. One fixed probe for all backbones: what differs is then the backbone."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers"})

    views: int = Field(8, ge=2)
    """Augmented views of each image."""
    images: int = Field(5000, ge=4)
    """Held-out images at most, spread evenly over the classes' order."""
    size: int = Field(224, ge=16)
    """Side of a view, in pixels."""
    batch: int = Field(32, ge=2)
    """Images per forward pass, times `views` + 1. A blend's partners are of the same batch."""
    pipeline: str = "mocov2"
    """Base pipeline the views are drawn with: its query's."""
    pipeline_options: dict[str, Any] = Field(default_factory=dict)
    """Fields of the base pipeline that differ from it."""
    probe: str = NO_PROBE
    """Augmentation on top, as in `bench pretrain --aug`: which one is probed."""
    probe_options: dict[str, Any] = Field(default_factory=dict)
    """Its fields, for instance {side: 0.3}."""
    num_workers: int = Field(0, ge=0)
    """Loader processes; 0 loads in the process itself, which a GPU outruns."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        _Probe.of(self)
        return self

    @property
    def protocol(self) -> str:
        """`representation`, or with the probe that makes it another protocol: `representation@cutout(side=0.3)`."""
        if self.probe == NO_PROBE:
            return REPRESENTATION
        options = ", ".join(f"{name}={value}" for name, value in sorted(self.probe_options.items()))
        return f"{REPRESENTATION}@{self.probe}" + (f"({options})" if options else "")

    def probed(self) -> Probe | None:
        """The probe with all its fields and what they mean; None where there is none."""
        if self.probe == NO_PROBE:
            return None
        augmentation = _Probe.of(self).augmentation
        if not isinstance(augmentation, Settings):  # several, joined
            return Probe(augmentation=self.probe, options=self.probe_options)
        described = {name: field.description or "" for name, field in type(augmentation).model_fields.items()}
        meanings = {name: " ".join(text.split()).partition(". ")[0].rstrip(".") for name, text in described.items()}
        return Probe(augmentation=self.probe, options=augmentation.model_dump(mode="json"), meanings=meanings)


SMALL = {"size": 64, "images": 250, "batch": 16}
"""What `--budget small` changes."""


@dataclass(frozen=True)
class Measured:
    """What a pass yields."""

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
        ConfigError: For an unknown pipeline or augmentation.
        DataError: If there are too few images.
    """
    if len(images) < 2 * splits:
        raise DataError("too few images to measure on", seen=len(images), allowed=f"at least {2 * splits}")
    see = _Probe.of(settings)
    model, proof = extractor(backbone, device)
    head = _head(backbone.projector, device)
    chosen = torch.linspace(0, len(images) - 1, min(settings.images, len(images))).long().tolist()
    batches = [[(0, chosen[i]) for _, i in batch] for batch in in_order(len(chosen), settings.batch)]
    cuts: list[Crop | CentreCrop] = [CentreCrop(settings.size), *[see.crop] * settings.views]
    every = -(-len(chosen) // KEPT)
    sums = [_Sums() for _ in range(splits)]
    with torch.inference_mode():
        source = Crops(images, images.labels, cuts, seed=seed)
        for done, (crops, labels, _) in enumerate(loader(source, batches, num_workers=settings.num_workers)):
            part = _features(model, head, see, crops, generator(seed, done, device), device)
            position = torch.arange(len(labels)) + done * settings.batch
            for split, total in enumerate(sums):
                mine = position % splits == split
                total.add(part.only(mine), labels[mine], position[mine] // splits % every == 0, seed, done)
            journal.step("representation", done + 1, len(batches))
    whole = [_merged(sums)] if splits > 1 else []
    return [Measured(*total.results(), proof) for total in [*whole, *sums]]


@dataclass(frozen=True)
class _Probe:
    """How a crop becomes a view."""

    crop: Crop
    pipeline: Callable[[Tensor, Generator], Tensor]
    augmentation: Augmentation

    @classmethod
    def of(cls, settings: MeasureSettings) -> "_Probe":
        if settings.pipeline not in PIPELINES:
            raise ConfigError.unknown("pipeline", settings.pipeline, PIPELINES)
        pipeline = PIPELINES[settings.pipeline][0].replace(settings.pipeline_options, where="pipeline_options")
        crop = Crop(settings.size, pipeline.crop_scale, pipeline.crop_ratio)
        return cls(crop, pipeline, augment.make(settings.probe, settings.probe_options))

    def __call__(self, crops: Tensor, rng: Generator) -> Mixed:
        """A view of each of (N, 3, S, S) uint8."""
        return self.augmentation(normalised(self.pipeline(crops.float() / 255, rng)), rng)


@dataclass(frozen=True)
class _Part:
    """Features of a batch."""

    anchors: Tensor
    """(N, D) of the centre crops."""
    values: dict[str, Tensor]
    """(N,) of each measure of single images."""

    def only(self, chosen: Tensor) -> "_Part":
        """Some of its images."""
        return _Part(self.anchors[chosen], {name: value[chosen] for name, value in self.values.items()})


def _head(projector: Mapping[str, Tensor], device: str) -> nn.Module | None:
    """The projector, in eval mode; None where the backbone comes without one."""
    if not projector:
        return None
    names = sorted({name.rpartition(".")[0] for name in projector}, key=lambda name: int(name or 0))
    layers: list[nn.Module] = []
    for name in names:
        weight, bias = (projector[f"{name}.{kind}".lstrip(".")] for kind in ("weight", "bias"))
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(device).eval().requires_grad_(False)


def _features(model: nn.Module, head: nn.Module | None, see: _Probe, crops: list[Tensor], rng: Generator, device: str) -> _Part:
    anchors = model(normalised(crops[0].to(device).float() / 255))
    seen = [see(crop.to(device), rng) for crop in crops[1:]]
    views = model(torch.cat([view.images for view in seen])).unflatten(0, (len(seen), -1)).transpose(0, 1)
    linv = definitions.invariance(anchors, views)
    values = {"Linv": linv, "Ldiv": definitions.view_similarity(views), "alignment": definitions.alignment(views)}
    if all(view.sources is None for view in seen):
        values["diversity_cap"] = definitions.diversity_cap(linv, len(seen))
    else:
        sources = torch.stack([view.sources for view in seen if view.sources is not None], dim=1)
        weights = torch.stack([view.weights for view in seen if view.weights is not None], dim=1)
        values |= {"Linv_primary": linv, "Linv": definitions.blended_invariance(anchors, views, sources, weights)}
    if head is not None:
        behind, seen_behind = head(anchors), head(views)
        values["projector_Linv"] = definitions.invariance(behind, seen_behind)
        values["projector_Ldiv"] = definitions.view_similarity(seen_behind)
    return _Part(anchors.cpu(), {name: value.cpu() for name, value in values.items()})


@dataclass
class _Sums:
    """Everything that is summed over images, and the features that are kept."""

    means: Means = field(default_factory=Means)
    squares: Tensor | float = 0.0
    kept: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)

    def add(self, part: _Part, labels: Tensor, keep: Tensor, seed: int, batch: int) -> None:
        weights = counts(len(labels), generator(seed, batch, "cpu", rank=1))
        self.squares = self.squares + weights.square().sum(dim=1)
        unit = nn.functional.normalize(part.anchors, dim=-1)
        self.means.add(weights, **part.values, direction=unit)
        self.kept.append(part.anchors[keep])
        self.labels.append(labels[keep])

    def results(self) -> tuple[dict[str, float | None], dict[str, Interval]]:
        """Metrics and their intervals."""
        found = {name: self.means.mean(name) for name in self.means.sums if name != "direction"}
        found["diversity"] = 1 - found["Ldiv"]
        assert isinstance(self.means.total, Tensor)
        assert isinstance(self.squares, Tensor)
        found["anisotropy"] = definitions.similarity_between(self.means.sums["direction"], self.means.total, self.squares)
        found |= self._of_kept()
        metrics: dict[str, float | None] = {name: float(values[0]) for name, values in found.items()}
        intervals = {name: interval(values[1:]) for name, values in found.items()}
        for absent in ("diversity_cap", "knn_among"):  # of blends no cap is known
            metrics[absent] = metrics.get(absent)
        rank, around = _rank(torch.cat(self.kept))
        return metrics | {"effective_rank": rank}, intervals | {"effective_rank": around}

    def _of_kept(self) -> dict[str, Tensor]:
        features, labels = torch.cat(self.kept), torch.cat(self.labels)
        weights = counts(len(features), generator(0, 0, "cpu"))
        found = {"uniformity": definitions.uniformity(features, weights)}
        known = labels.bincount()[labels] > 1  # an image alone in its class can't be recognised by others
        if bool(known.any()):
            hits = definitions.neighbour_hits(features, labels)[known].double()
            found["knn_among"] = 100 * (weights[:, known] @ hits) / weights[:, known].sum(dim=1)
        return found


def _merged(parts: list[_Sums]) -> _Sums:
    whole = _Sums()
    for part in parts:
        whole.squares = whole.squares + part.squares
        whole.means.total = whole.means.total + part.means.total
        for name, value in part.means.sums.items():
            whole.means.sums[name] = whole.means.sums[name] + value if name in whole.means.sums else value
        whole.kept += part.kept
        whole.labels += part.labels
    return whole


def _rank(features: Tensor) -> tuple[float, Interval]:
    """The effective rank and its interval by the jackknife over parts."""
    rank = definitions.effective_rank(features)
    number = torch.arange(len(features)) % JACKKNIFE
    without = torch.tensor([definitions.effective_rank(features[number != part]) for part in range(JACKKNIFE)])
    error = float(((without - without.mean()).square().sum() * (JACKKNIFE - 1) / JACKKNIFE).sqrt())
    return rank, (rank - 1.96 * error, rank + 1.96 * error)
