"""Invariance and diversity of a backbone's features under seeded views.

Definitions after "Exploring Data Augmentations on Self-/Semi-/Fully-Supervised Pre-trained Models"
(arXiv:2310.18850) as summarised there in words: Linv is the mean similarity between augmented views and the original
image, Ldiv the mean similarity between different augmented views. Both are similarities: a lower Ldiv is more diverse.

Shapes: N images, M views, D features.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pretrain.augment.views import PIPELINES
from pretrain.crops import CentreCrop, Crop
from pretrain.data import Crops, in_order, loader
from pretrain.errors import DataError
from pretrain.images import ImageSet
from pretrain.inputs import normalised
from pretrain.journal import Journal
from pretrain.settings import Settings
from transfer.features import extractor
from transfer.sources import Backbone

VERSION = 2
"""Of the measure; raised with every change that moves a number."""


class MeasureSettings(Settings):
    """How views are drawn. One fixed probe for all backbones: what differs is then the backbone."""

    views: int = Field(8, ge=2)
    """Augmented views of each image."""
    images: int = Field(500, ge=2)
    """Held-out images at most, spread evenly over the classes' order."""
    size: int = Field(224, ge=16)
    """Side of a view, in pixels."""
    batch: int = Field(32, ge=1)
    """Images per forward pass, times `views` + 1."""
    pipeline: str = "mocov2"
    """Base pipeline the views are drawn with."""


SMALL = {"size": 64, "images": 250, "batch": 16}
"""What `--budget small` changes."""


def invariance(anchors: Tensor, views: Tensor) -> Tensor:
    """(N,) mean cosine between an image's views (N, M, D) and its anchor (N, D): Linv of each image."""
    return (F.normalize(views, dim=-1) @ F.normalize(anchors, dim=-1)[..., None]).squeeze(-1).mean(dim=1)


def view_similarity(views: Tensor) -> Tensor:
    """(N,) mean cosine between different views (N, M, D) of one image: Ldiv of each image."""
    m = views.shape[1]
    total = F.normalize(views, dim=-1).sum(dim=1)
    return (total.square().sum(dim=-1) - m) / (m * (m - 1))


@dataclass
class _Sums:
    """Running sums over images, so that memory does not grow with their number."""

    count: int = 0
    linv: float = 0.0
    ldiv: float = 0.0
    cap: float = 0.0
    direction: Tensor | float = 0.0

    def add(self, anchors: Tensor, views: Tensor) -> None:
        m = views.shape[1]
        linv = invariance(anchors, views)
        self.count += len(anchors)
        self.linv += float(linv.sum())
        self.ldiv += float(view_similarity(views).sum())
        self.cap += float((m * (1 - linv.square()) / (m - 1)).sum())
        self.direction = self.direction + F.normalize(anchors, dim=-1).double().sum(dim=0)

    def metrics(self) -> dict[str, float | None]:
        n = self.count
        assert isinstance(self.direction, Tensor)
        anisotropy = float((self.direction.square().sum() - n) / (n * (n - 1)))
        linv, ldiv = self.linv / n, self.ldiv / n
        return {"Linv": linv, "Ldiv": ldiv, "diversity": 1 - ldiv, "diversity_cap": self.cap / n, "anisotropy": anisotropy}


def measure(
    backbone: Backbone, images: ImageSet, settings: MeasureSettings, journal: Journal, *, seed: int, device: str
) -> tuple[dict[str, float | None], dict[str, float]]:
    """Linv, Ldiv and their companions, and the proof that the model is the backbone.

    `diversity` is 1 − Ldiv; `diversity_cap` is what Linv alone allows, M (1 − Linv²) / (M − 1) averaged over images;
    `anisotropy` is the mean cosine between different images, the baseline that inflates both.

    Raises:
        DataError: If there are fewer than two images.
    """
    if len(images) < 2:
        raise DataError("too few images to measure on", seen=len(images), allowed="at least 2")
    model, proof = extractor(backbone, device)
    chosen = torch.linspace(0, len(images) - 1, min(settings.images, len(images))).long().tolist()
    batches = [[(0, chosen[i]) for _, i in batch] for batch in in_order(len(chosen), settings.batch)]
    pipeline, _ = PIPELINES[settings.pipeline]  # the query's
    crop = Crop(settings.size, pipeline.crop_scale, pipeline.crop_ratio)
    views = loader(Crops(images, images.labels, [crop] * settings.views, seed=seed), batches, num_workers=0)
    anchors = loader(Crops(images, images.labels, [CentreCrop(settings.size)], seed=seed), batches, num_workers=0)
    sums = _Sums()
    with torch.inference_mode():
        for done, (view, anchor) in enumerate(zip(views, anchors, strict=True), start=1):
            rng = torch.Generator(device).manual_seed(seed * 1_000_003 + done)
            drawn = pipeline(torch.cat(view[0]).to(device).float() / 255, rng)  # (M·N, 3, S, S)
            features = model(normalised(drawn)).unflatten(0, (settings.views, -1)).transpose(0, 1)  # (N, M, D)
            sums.add(model(normalised(anchor[0][0].to(device).float() / 255)), features)
            journal.step("representation", done, len(batches))
    return sums.metrics(), proof
