"""Batches of random crops: each image is decoded once and cropped once per view.

Shapes: N images, V views, S side of a view in pixels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pretrain.core.errors import DataError, GoneError
from pretrain.core.workers import Loader
from pretrain.images.crops import NUMBERS, TRIES, Box, CentreCrop, Crop
from pretrain.images.decode import Picture, jpeg_decoder, reduced_box, reductions
from pretrain.images.skipping import Skipped


class Decodable(Protocol):
    """An image whose size is known before its pixels are decoded."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""

    def pixels(self) -> Tensor:
        """Decode to (3, H, W) uint8, channels last in memory."""


class Images(Protocol):
    """A source of images: files, or a cache."""

    def __len__(self) -> int:
        """Return the number of images."""

    def picture(self, index: int) -> Decodable:
        """Open one image.

        Raises:
            DataError: If it can't be read.
        """


CROPS = 3
"""Separates the crops' random numbers from those of the order and of the label choice, which have the same seed."""
Position = tuple[int, int]
"""Epoch and index of an image. Its crops depend on these and the seed alone."""
Batch = tuple[list[Tensor], Tensor, Tensor]
"""V views (N, 3, S, S) uint8, channels last in memory, S may differ between views; labels (N,); indices (N,)."""


class Crops(Dataset[Batch]):
    """A data set whose items are whole batches of crops."""

    def __init__(
        self,
        images: Images,
        labels: Sequence[int],
        crops: Sequence[Crop | CentreCrop],
        *,
        seed: int,
        reduced: bool = False,
        skipped: Skipped | None = None,
    ) -> None:
        """Prepare the crops of images.

        Args:
            images: The images.
            labels: (N,) their labels.
            crops: One for each view; their sizes may differ.
            seed: Seed of the boxes.
            reduced: Whether JPEGs much larger than their crops are decoded at a fraction of their size, see
                `pretrain.images.decode`.
            skipped: Records unreadable images, which are then replaced; None: they raise errors.
        """
        self.images, self.labels, self.crops, self.reduced, self.skipped = images, labels, crops, reduced, skipped
        self._draws = _Draws(seed, (len(crops), TRIES, NUMBERS))

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, positions: Sequence[Position]) -> Batch:
        """Load one batch; torch's loader calls this with all positions of a batch at once.

        An unreadable image is replaced by the next readable one, cropped with the random numbers of the position.

        Raises:
            DataError: If an image can't be read and unreadable images aren't skipped.
        """
        indices = [index for _, index in positions]
        while self.skipped is not None:
            chosen = [self.skipped.instead_of(index) for index in indices]
            try:
                return self._batch(positions, chosen)
            except GoneError:
                raise
            except DataError:
                if not self._note_unreadable(chosen, self.skipped):
                    raise
        return self._batch(positions, indices)

    def _note_unreadable(self, indices: Sequence[int], skipped: Skipped) -> bool:
        """Record the unreadable ones of these images, and return whether there are any."""
        found = False
        for index in indices:
            try:
                self.images.picture(index).pixels()
            except GoneError:
                raise
            except DataError:
                skipped.add(index)
                found = True
        return found

    def _batch(self, positions: Sequence[Position], indices: Sequence[int]) -> Batch:
        """Load these images and crop them with the random numbers of these positions."""
        pictures = [self.images.picture(index) for index in indices]
        boxes, factors = self._boxes(positions, pictures)
        of_image = zip(pictures, factors, *(box.tolist() for box in boxes), strict=True)
        cut = [self._cut(picture, factor, its) for picture, factor, *its in of_image]
        views = [torch.cat(view) for view in zip(*cut, strict=True)]
        return views, torch.tensor([self.labels[index] for index in indices]), torch.tensor(indices)

    def _boxes(self, positions: Sequence[Position], pictures: Sequence[Decodable]) -> tuple[list[np.ndarray], list[int]]:
        """Draw the boxes of these images, V of (N, 4), and choose the fraction of its size at which each is decoded, (N,)."""
        sizes = np.array([picture.size for picture in pictures])
        draws = self._draws(positions)
        boxes = [crop.boxes(sizes, draws[:, view]) for view, crop in enumerate(self.crops)]
        return boxes, reductions(boxes, [crop.size for crop in self.crops]) if self.reduced else [1] * len(pictures)

    def _cut(self, picture: Decodable, factor: int, boxes: list[Box]) -> list[Tensor]:
        """Cut the crops (1, 3, S, S) of one image."""
        if factor > 1 and isinstance(picture, Picture) and picture.reducible:
            pixels, boxes = picture.pixels(factor), [reduced_box(box, factor) for box in boxes]
        else:
            pixels = picture.pixels()
        return [crop.cut(pixels, box) for crop, box in zip(self.crops, boxes, strict=True)]


class _Draws:
    """Uniform random numbers that depend on the seed, the epoch and the image alone.

    Each epoch has one stream, in which each image has its own section: advancing to it costs a tenth of seeding one generator
    per image.
    """

    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        self._seed, self._shape, self._each = seed, shape, math.prod(shape)
        self._epoch, self._next, self._bits = -1, 0, np.random.PCG64(0)
        self._stream = np.random.Generator(self._bits)

    def __call__(self, positions: Sequence[Position]) -> np.ndarray:
        """Draw (N, *shape) numbers in [0, 1) for N positions."""
        draws = np.empty((len(positions), *self._shape))
        for row, (epoch, index) in zip(draws, positions, strict=True):
            if epoch != self._epoch:
                self._bits = np.random.PCG64(np.random.SeedSequence((self._seed, epoch, CROPS)))
                self._stream, self._epoch, self._next = np.random.Generator(self._bits), epoch, 0
            self._bits.advance((index - self._next) * self._each)
            self._stream.random(out=row)
            self._next = index + 1
        return draws


class Epochs(Sampler[list[Position]]):
    """Batches of positions, epoch after epoch, each in its own seeded order; can start at any step."""

    def __init__(
        self, images: int, *, batch: int, epochs: int, seed: int, start: int = 0, part: tuple[int, int] = (0, 1)
    ) -> None:
        """Define the batches.

        Args:
            images: Number of images.
            batch: Images per step, all processes together.
            epochs: Number of epochs.
            seed: Seed of the order.
            start: First step to yield.
            part: Index of this process's part of each batch, and number of parts, which differ by one image at most.
        """
        self.images, self.batch, self.epochs, self.seed, self.start = images, batch, epochs, seed, start
        self.bounds = stretch(batch, *part)
        """First and last of this process's images in each batch, the last one not included."""
        self.steps_per_epoch = images // batch  # an incomplete last batch is dropped, as published

    def __len__(self) -> int:
        return self.steps_per_epoch * self.epochs - self.start

    def __iter__(self) -> Iterator[list[Position]]:
        for epoch in range(self.start // self.steps_per_epoch, self.epochs):
            order = np.random.default_rng((self.seed, epoch)).permutation(self.images)
            first = max(0, self.start - epoch * self.steps_per_epoch)
            for step in range(first, self.steps_per_epoch):
                chosen = order[step * self.batch : (step + 1) * self.batch]
                yield [(epoch, int(index)) for index in chosen[slice(*self.bounds)]]


@dataclass(frozen=True)
class InOrder:
    """Batches of positions of epoch 0, each made when it is asked for: those of a million images would fill 100 MB."""

    images: int
    batch: int
    """Images in a batch; the last one may be smaller."""
    numbers: Sequence[int]
    """Which batches."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> list[Position]:
        return [(0, index) for index in range(*self.bounds(place))]

    def __iter__(self) -> Iterator[list[Position]]:
        return map(self.__getitem__, range(len(self)))

    def bounds(self, place: int) -> tuple[int, int]:
        """Return the first and the last image of a batch, the last one not included."""
        start = self.numbers[place] * self.batch
        return start, min(start + self.batch, self.images)

    def part(self, places: Sequence[int]) -> "InOrder":
        """Select batches."""
        return replace(self, numbers=[self.numbers[place] for place in places])


def loader(
    crops: Crops, batches: Sampler[list[Position]] | InOrder | list[list[Position]], *, num_workers: int, pinned: bool = False
) -> Loader[Batch]:
    """Build a data loader over batches of positions.

    Args:
        crops: The data set.
        batches: The batches, in order.
        num_workers: Number of loader workers; 0 loads in the process itself.
        pinned: Whether batches lie in pinned memory, which a GPU copies from while it computes.
    """
    jpeg_decoder()
    return Loader(
        crops,
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=_as_is,
        pin_memory=pinned,
    )


def stretch(total: int, part: int, parts: int) -> tuple[int, int]:
    """Return where a part of a whole begins and ends, if it is cut into parts that differ by one at most."""
    return part * total // parts, (part + 1) * total // parts


def in_order(images: int, batch: int) -> InOrder:
    """Split the indices of all images, in order, into batches of positions of epoch 0; the last one may be smaller."""
    return InOrder(images, batch, range(-(-images // batch)))


def _as_is(batch: Batch) -> Batch:
    return batch
