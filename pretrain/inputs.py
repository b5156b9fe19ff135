"""What the encoders see of a batch: crops → base pipelines → normalised → augmentation.

Training and `bench views` go through this file alike, so that the pictures can't differ from the training.

Shapes: V views, N images, S pixels a side.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from pretrain.augment import fused
from pretrain.augment.compose import alike, guided
from pretrain.augment.guide import Guide
from pretrain.augment.mixed import Augmentation, Mixed
from pretrain.augment.pipelines import Pipeline
from pretrain.batch import View
from pretrain.config import PretrainConfig
from pretrain.images.crops import Crop
from pretrain.images.encoded import EncodedCrops
from pretrain.images.labels import UNLABELLED
from pretrain.images.loading import Crops, Images
from pretrain.images.normalise import IMAGENET, IMAGENET_MEAN, IMAGENET_STD, Input
from pretrain.images.skipping import Skipped

AUGMENTATION, LEARNER = 0, 1_640_531_527
"""Added to the seed of a step: what the augmentation draws, and what a learner draws."""
_APART = 2654435769
"""Between the seeds of two processes: 2³² over the golden ratio, which keeps them millions of steps apart also modulo 2³²,
since torch's CPU generator takes no more of a seed than its last 32 bits."""


def crops(
    config: PretrainConfig, images: Images, labels: Sequence[int], skipped: Skipped | None = None, *, encoded: bool = False
) -> Crops:
    """Make the random crops of a run: one of each image for each view of its method, of that view's size and pipeline.

    `encoded`: whether those that a GPU can make are left to it.
    """
    made = ((view.size, view.pipeline) for view in config.views())
    cuts = [Crop(size, pipeline.crop_scale, pipeline.crop_ratio, pipeline.resize) for size, pipeline in made]
    kind = EncodedCrops if encoded else Crops
    return kind(images, labels, cuts, seed=config.seed, reduced=config.reduced_decode, skipped=skipped)


def step_seed(seed: int, step: int, rank: int = 0, *, stream: int = AUGMENTATION) -> int:
    """Compute the seed of what is random in one step of one process: a function of the run's seed, step and rank alone."""
    return seed * 1_000_003 + step + rank * _APART + stream


def generator(seed: int, step: int, *, rank: int = 0) -> Generator:
    """Make the source of everything random in the views of one step of one process, on the CPU wherever the views are."""
    return Generator().manual_seed(step_seed(seed, step, rank))


Ask = Callable[[tuple[Tensor, ...]], Sequence[Guide | None]]
"""The views before the augmentation, each (N, 3, S, S) → what the network says of each; None where it sees nothing of it."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Makes the encoders' inputs from a batch of crops."""

    views: tuple[View, ...]
    augmentation: Augmentation
    both: bool
    """Whether the augmentation applies to every view; else only to those that the trained encoder sees."""
    fused: bool = False
    """Whether base pipelines are few passes, made by torch's compiler: see `pretrain.augment.fused`."""

    @classmethod
    def of(cls, config: PretrainConfig, device: str = "cpu") -> Self:
        """Build from a run's configuration. On a CPU, whose cache holds a few images, nothing is fused."""
        return cls(config.views(), config.augmentation(), config.aug_views == "both", config.fused_views and device != "cpu")

    def __call__(
        self, crops: Iterable[Tensor], labels: Tensor, rng: Generator, ask: Ask | None = None
    ) -> tuple[tuple[Mixed, ...], tuple[Tensor, ...], Tensor]:
        """Make every view after the augmentation, and before it: (N, 3, S, S), normalised; and the labels (N,) of both.

        Where a blend is the same in all views, an image's own key is all of its target: the views come without sources then.
        Query and key are of several classes, and neither may be another's positive by one of them: they have no label.

        Args:
            crops: V of (N, 3, S, S) uint8, in the order of the views.
            labels: (N,) of the images, `UNLABELLED` where a label is not to be used.
            rng: Source of all randomness, on the CPU.
            ask: Asks the network, for an augmentation that needs to.
        """
        views, clean = self.made(crops, rng, ask)
        if self.both:
            labels = labels.masked_fill(views[0].blended(), UNLABELLED)
            views = tuple(Mixed(view.images) for view in views)
        return views, clean, labels

    def made(
        self, crops: Iterable[Tensor], rng: Generator, ask: Ask | None = None
    ) -> tuple[tuple[Mixed, ...], tuple[Tensor, ...]]:
        """Make the same views, each with what was blended into it."""
        pairs = zip(self.views, crops, strict=True)
        clean = tuple(self._plain(view.pipeline, crop.float().div_(255), rng) for view, crop in pairs)
        guides = [None] * len(clean) if ask is None else ask(clean)
        augment = [self.augmentation if guide is None else guided(self.augmentation, guide) for guide in guides]
        if self.both:  # what the first view is like decides for all
            return alike(augment[0], clean, rng), clean
        seen = [
            Mixed(images) if view.role == "target" else augment_view(images, rng)
            for view, images, augment_view in zip(self.views, clean, augment, strict=True)
        ]
        return tuple(seen), clean

    def _plain(self, pipeline: Pipeline, images: Tensor, rng: Generator) -> Tensor:
        return fused.view(pipeline, images, rng) if self.fused else normalised(pipeline(images, rng))


def normalised(images: Tensor, seen: Input = IMAGENET) -> Tensor:
    """Normalise images (N, 3, H, W), RGB in [0, 1], as a network sees them; channels last in memory."""
    result = torch.empty_like(images, memory_format=torch.channels_last)
    channels = zip(seen.channels, seen.mean, seen.std, strict=True)
    for place, (channel, mean, std) in enumerate(channels):  # one pass into the other layout
        torch.div(images[:, channel] - mean, std, out=result[:, place])
    return result


def denormalised(images: Tensor) -> Tensor:
    """Undo `normalised`; noise may lie outside [0, 1]."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1)
    return images * torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1) + mean
