"""Views of a base pipeline by few passes over memory: on a GPU reading and writing images is what they cost.

torch's compiler makes of each round of the colour jitter a mean and one pass, and one pass of all that comes last: grey,
mirroring, normalising and the network's layout in memory. Draws, and what each operation is, are those of
`pretrain.augment.pipelines`.

Shapes: N images, H rows, W columns.
"""

import warnings
from collections.abc import Callable
from functools import cache
from itertools import takewhile

import torch
from torch import Generator, Tensor

from pretrain.augment import ops
from pretrain.augment.pipelines import STEPS, Pipeline
from pretrain.core.upload import upload
from pretrain.images.normalise import IMAGENET

LATE = ("grey", "flip")
"""Operations on single pixels that are joined with the normalising where nothing else follows them, in any order."""


def view(pipeline: Pipeline, images: Tensor, rng: Generator) -> Tensor:
    """Make a view of each image, as the pipeline does, and normalise it.

    Args:
        pipeline: The operations.
        images: (N, 3, H, W) crops, RGB in [0, 1]. Not modified.
        rng: Source of all randomness, on the CPU wherever the images are.

    Returns:
        (N, 3, H, W), normalised, channels last in memory.
    """
    draws, device = pipeline.draws(len(images), rng), images.device
    images = images.clone(memory_format=torch.contiguous_format)
    late = tuple(takewhile(LATE.__contains__, reversed(pipeline.order)))
    for name in pipeline.order[: len(pipeline.order) - len(late)]:
        if name == "jitter":
            orders, strengths = pipeline.jitter_of(draws)
            steps = orders.T.masked_fill(~pipeline.chosen(name, draws), len(STEPS))
            images = compiled(jittered)(images, upload(steps.contiguous(), device), upload(strengths, device))
        else:
            pipeline.apply_(name, images, draws)
    none = torch.zeros(len(images), dtype=torch.bool)
    grey, flip = (upload(pipeline.chosen(name, draws) if name in late else none, device) for name in ("grey", "flip"))
    return compiled(finished)(images, grey, flip)


def jittered(images: Tensor, steps: Tensor, strengths: Tensor) -> Tensor:
    """Jitter the colours of images (N, 3, H, W).

    Args:
        images: RGB in [0, 1].
        steps: (4, N): which of `STEPS` an image takes in each round; their number, if none.
        strengths: (4, N) parameter of each step.
    """
    for step in steps.unbind():
        after = images
        for number, (apply_, strength) in enumerate(zip(STEPS, strengths.unbind(), strict=True)):
            after = torch.where((step == number).view(-1, 1, 1, 1), apply_(images.clone(), strength), after)
        images = after
    return images


def finished(images: Tensor, grey: Tensor, flip: Tensor) -> Tensor:
    """Make some images (N, 3, H, W) grey, mirror some, as (N,) bool say, and normalise all; channels last in memory."""
    images = torch.where(grey.view(-1, 1, 1, 1), ops.to_grey(images), images)
    images = torch.where(flip.view(-1, 1, 1, 1), ops.flip(images), images)
    channels = zip(images.unbind(1), IMAGENET.mean, IMAGENET.std, strict=True)
    normal = torch.stack([(channel - mean) / std for channel, mean, std in channels], dim=1)
    return normal.contiguous(memory_format=torch.channels_last)


@cache
def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function as torch's compiler makes it, once in a process."""
    warnings.filterwarnings("ignore", message=".*lru_cache")  # constants are cached, which the compiler says it overlooks
    made: Callable[..., Tensor] = torch.compile(function, dynamic=False)
    return made
