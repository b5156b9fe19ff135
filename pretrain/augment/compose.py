"""Several augmentations as one, such as `cutmix+mixup`.

Shapes: N images, S1 and S2 sources of two blends.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from pretrain.augment.mixed import Augmentation, Mixed

Composition = Literal["draw", "turn"]
"""How several augmentations are composed: one drawn for each image, or all in turn."""


@dataclass(frozen=True)
class Compose:
    """Draws one of its parts for each image, or applies them in turn."""

    parts: tuple[Augmentation, ...]
    """The augmentations, in the order of their names."""
    composition: Composition = "draw"
    """Whether one is drawn for each image, or all are applied in turn."""

    def __call__(self, images: Tensor, rng: Generator) -> Mixed:
        """Augment a batch, see `Augmentation`."""
        return self._draw(images, rng) if self.composition == "draw" else self._turn(images, rng)

    def _draw(self, images: Tensor, rng: Generator) -> Mixed:
        """Draw one part for each image, with equal probability; partners still come from the whole batch."""
        chosen = torch.randint(len(self.parts), (len(images),), generator=rng, device=images.device)
        results = [part(images, rng) for part in self.parts]
        drawn = torch.stack([result.images for result in results])[chosen, torch.arange(len(images), device=images.device)]
        if all(result.sources is None for result in results):
            return Mixed(drawn)
        width = max(result.sources.shape[1] for result in results if result.sources is not None)
        blends = [_widened(result, width) for result in results]
        return Mixed(drawn, _picked([sources for sources, _ in blends], chosen), _picked([w for _, w in blends], chosen))

    def _turn(self, images: Tensor, rng: Generator) -> Mixed:
        """Apply each part to the result of the one before."""
        whole = Mixed(images)
        for part in self.parts:
            result = part(whole.images, rng)
            whole = Mixed(result.images, *_chained(whole, result))
        return whole


def _chained(first: Mixed, second: Mixed) -> tuple[Tensor | None, Tensor | None]:
    """Sources and weights of a blend of blends: every source of every source, with the product of the weights."""
    if second.sources is None or second.weights is None:
        return first.sources, first.weights
    if first.sources is None or first.weights is None:
        return second.sources, second.weights
    sources = first.sources[second.sources]  # (N, S2, S1)
    weights = second.weights[:, :, None] * first.weights[second.sources]
    return sources.flatten(1), weights.flatten(1)


def _widened(mixed: Mixed, width: int) -> tuple[Tensor, Tensor]:
    """Pad sources and weights to (N, width) with columns of weight 0; an image that wasn't blended is its only source."""
    n, device = len(mixed.images), mixed.images.device
    sources = torch.arange(n, device=device)[:, None].repeat(1, width)
    weights = torch.zeros(n, width, device=device)
    weights[:, 0] = 1
    if mixed.sources is not None and mixed.weights is not None:
        sources[:, : mixed.sources.shape[1]] = mixed.sources
        weights[:, : mixed.weights.shape[1]] = mixed.weights
    return sources, weights


def _picked(options: list[Tensor], chosen: Tensor) -> Tensor:
    """Select for every image n row n of the option that it drew."""
    return torch.stack(options)[chosen, torch.arange(len(chosen), device=chosen.device)]
