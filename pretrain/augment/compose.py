"""Several augmentations as one, such as `cutmix+mixup`.

Shapes: N images, S1 and S2 sources of two blends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Generator, Tensor

from pretrain.augment.guide import Guide, Guided
from pretrain.augment.mixed import Augmentation, Mixed
from pretrain.core.upload import upload

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
        (result,) = self.alike([images], rng)
        return result

    def guided(self, guide: Guide) -> Self:
        """Give each part what the network says, see `Guided`; also of several in turn: of the images before the first one."""
        return replace(self, parts=tuple(guided(part, guide) for part in self.parts))

    def alike(self, views: Sequence[Tensor], rng: Generator) -> tuple[Mixed, ...]:
        """Augment several views of the same images, see the function `alike`."""
        return self._draw(views, rng) if self.composition == "draw" else self._turn(views, rng)

    def _draw(self, views: Sequence[Tensor], rng: Generator) -> tuple[Mixed, ...]:
        """Draw one part for each image, with equal probability; partners still come from the whole batch."""
        chosen = upload(torch.randint(len(self.parts), (len(views[0]),), generator=rng), views[0].device)
        results = [alike(part, views, rng) for part in self.parts]
        return tuple(_selected(of_view, chosen) for of_view in zip(*results, strict=True))

    def _turn(self, views: Sequence[Tensor], rng: Generator) -> tuple[Mixed, ...]:
        """Apply each part to the results of the one before."""
        wholes = tuple(Mixed(images) for images in views)
        for part in self.parts:
            results = alike(part, [whole.images for whole in wholes], rng)
            pairs = zip(wholes, results, strict=True)
            wholes = tuple(Mixed(result.images, *_chained(whole, result)) for whole, result in pairs)
        return wholes


def alike(augmentation: Augmentation, views: Sequence[Tensor], rng: Generator) -> tuple[Mixed, ...]:
    """Augment several views, each (N, 3, S, S), of the same images.

    Masks are drawn anew for each view, while a blend is the same in all of them: same partner, same share. Of several
    augmentations each follows its own rule, and every image draws the same one in all views.
    """
    if isinstance(augmentation, Compose):
        return augmentation.alike(views, rng)
    before = rng.get_state()
    first = augmentation(views[0], rng)
    if first.sources is None:
        return (first, *(augmentation(images, rng) for images in views[1:]))
    return (first, *(augmentation(images, Generator().set_state(before)) for images in views[1:]))


def guided(augmentation: Augmentation, guide: Guide) -> Augmentation:
    """Give an augmentation what the network says of a view, if it asks."""
    return augmentation.guided(guide) if isinstance(augmentation, Guided | Compose) else augmentation


def _selected(results: Sequence[Mixed], chosen: Tensor) -> Mixed:
    """Select for every image its row of the result of the part that it drew, `chosen` (N,)."""
    images = _picked([result.images for result in results], chosen)
    if all(result.sources is None for result in results):
        return Mixed(images)
    width = max(result.sources.shape[1] for result in results if result.sources is not None)
    blends = [_widened(result, width) for result in results]
    return Mixed(images, _picked([sources for sources, _ in blends], chosen), _picked([w for _, w in blends], chosen))


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
