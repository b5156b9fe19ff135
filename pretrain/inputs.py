"""What the encoders see of a batch: crops → base pipelines → normalised → augmentation.

Training and `bench views` go through this file alike, so that the pictures can't differ from the training.

Shapes: V views (one or two), N images, S pixels a side.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from pretrain import methods
from pretrain.augment import Augmentation, Mixed
from pretrain.augment.views import Pipeline
from pretrain.config import PretrainConfig
from pretrain.images.crops import Crop
from pretrain.images.loading import Crops, Images
from pretrain.images.normalise import IMAGENET_MEAN, IMAGENET_STD
from pretrain.images.skipping import Skipped

_APART = 2654435769
"""Between the seeds of two processes: 2³² over the golden ratio, which keeps them millions of steps apart also modulo 2³²,
since torch's CPU generator takes no more of a seed than its last 32 bits."""


def crops(config: PretrainConfig, images: Images, labels: Sequence[int], skipped: Skipped | None = None) -> Crops:
    """The random crops of a run: one of each image for each view of its method, by that view's pipeline."""
    pipelines = config.pipelines()
    views = [pipelines[view % 2] for view in range(methods.get(config.method).views)]
    cuts = [Crop(config.size, pipeline.crop_scale, pipeline.crop_ratio) for pipeline in views]
    return Crops(images, labels, cuts, seed=config.seed, reduced=config.reduced_decode, skipped=skipped)


def generator(seed: int, step: int, device: str, *, rank: int = 0) -> Generator:
    """The source of everything random in one step of one process: a function of seed, step and rank alone."""
    return Generator(device).manual_seed(seed * 1_000_003 + step + rank * _APART)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Makes the encoders' inputs from a batch of crops."""

    pipelines: tuple[Pipeline, Pipeline]
    """The query's and the key's."""
    augmentation: Augmentation
    both: bool
    """Whether the augmentation applies to the key's view too: masks with draws of their own, blends with the same."""

    @classmethod
    def of(cls, config: PretrainConfig) -> Self:
        """Those of a run."""
        return cls(config.pipelines(), config.augmentation(), config.aug_views == "both")

    def __call__(self, crops: Iterable[Tensor], rng: Generator) -> tuple[Tensor, Mixed, Tensor | None]:
        """The query's view before and after the augmentation, and the key's if there is one: (N, 3, S, S), normalised.

        Args:
            crops: V of (N, 3, S, S) uint8, the query's first.
            rng: Source of all randomness, on the crops' device.
        """
        clean, *others = [normalised(self.pipelines[view % 2](crop.float().div_(255), rng)) for view, crop in enumerate(crops)]
        before = rng.get_state()
        query = self.augmentation(clean, rng)
        if not others:
            return clean, query, None
        if not self.both:
            return clean, query, others[0]
        if query.sources is None:
            return clean, query, self.augmentation(others[0], rng).images
        key = self.augmentation(others[0], Generator(clean.device).set_state(before))
        return clean, Mixed(query.images), key.images


def normalised(images: Tensor) -> Tensor:
    """(N, 3, H, W) RGB in [0, 1], less ImageNet's mean, over its standard deviation; channels last in memory."""
    result = torch.empty_like(images, memory_format=torch.channels_last)
    for channel, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):  # one pass into the other layout
        torch.div(images[:, channel] - mean, std, out=result[:, channel])
    return result


def denormalised(images: Tensor) -> Tensor:
    """(N, 3, H, W) as `normalised` took them; noise may lie outside [0, 1]."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    return images * torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1) + mean
