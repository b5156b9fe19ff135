"""What the encoders see of a batch: crops → base pipelines → normalised → augmentation.

Training and `bench views` go through this file alike, so that the pictures can't differ from the training.

Shapes: V views (one or two), N images, S pixels a side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from pretrain import methods
from pretrain.augment import Augmentation, Mixed
from pretrain.augment.views import Pipeline
from pretrain.checkpoint import IMAGENET_MEAN, IMAGENET_STD
from pretrain.config import PretrainConfig
from pretrain.data import Crop, Crops, ImageSet
from pretrain.errors import ConfigError


def crops(config: PretrainConfig, images: ImageSet, labels: Sequence[int]) -> Crops:
    """The random crops of a run, as many of each image as its method has views."""
    query, _ = config.pipelines()
    crop = Crop(config.size, query.crop_scale, query.crop_ratio)
    return Crops(images, labels, crop, views=methods.get(config.method).views, seed=config.seed)


def generator(seed: int, step: int, device: str) -> Generator:
    """The source of everything random in one step: a function of the seed and the step alone."""
    return Generator(device).manual_seed(seed * 1_000_003 + step)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Makes the encoders' inputs from a batch of crops."""

    pipelines: tuple[Pipeline, Pipeline]
    """The query's and the key's."""
    augmentation: Augmentation
    both: bool
    """Whether the augmentation applies to the key's view too, with draws of its own."""

    @classmethod
    def of(cls, config: PretrainConfig) -> Self:
        """Those of a run."""
        return cls(config.pipelines(), config.augmentation(), config.aug_views == "both")

    def __call__(self, batch: Tensor, rng: Generator) -> tuple[Mixed, Tensor | None]:
        """The query's view and what was mixed into it, and the key's view if there is one: (N, 3, S, S), normalised.

        Args:
            batch: (V, N, 3, S, S) uint8 crops, the query's first.
            rng: Source of all randomness, on the crops' device.

        Raises:
            ConfigError: If a mixing augmentation is to apply to both views.
        """
        views = [normalised(pipeline(_unit(crop), rng)) for pipeline, crop in zip(self.pipelines, batch, strict=False)]
        query = self.augmentation(views[0], rng)
        key = views[1] if len(views) > 1 else None
        if key is not None and self.both:
            key = _unmixed(self.augmentation(key, rng))
        return query, key


def _unit(crop: Tensor) -> Tensor:
    """In [0, 1], plane by plane in memory."""
    return crop.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def normalised(images: Tensor) -> Tensor:
    """(N, 3, H, W) RGB in [0, 1], less ImageNet's mean, over its standard deviation; channels last in memory."""
    mean, std = _moments(images)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def denormalised(images: Tensor) -> Tensor:
    """(N, 3, H, W) as `normalised` took them; noise may lie outside [0, 1]."""
    mean, std = _moments(images)
    return images * std + mean


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    return mean, torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1)


def _unmixed(augmented: Mixed) -> Tensor:
    if augmented.partner is not None:
        raise ConfigError("a mixing augmentation can't apply to both views", seen="aug_views: both", allowed="aug_views: query")
    return augmented.images
