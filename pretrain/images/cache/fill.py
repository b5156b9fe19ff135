"""Filling a buffer: the images' shapes first, then their pixels, decoded by loader workers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from pretrain.core.errors import DataError, GoneError
from pretrain.core.journal import Journal
from pretrain.core.workers import Loader
from pretrain.images.cache.buffer import Buffer
from pretrain.images.cache.shrink import ShrunkImages
from pretrain.images.decode import jpeg_decoder
from pretrain.images.loading import Position, in_order

BATCH = 64
"""Images decoded between two progress reports."""

Done = tuple[list[int], int]
"""Indices of the images of a batch that can't be decoded, and the size of the batch."""


@dataclass(frozen=True)
class Filler:
    """Decodes images into a buffer by loader workers."""

    num_workers: int
    """Loader workers; 0 decodes in the process itself."""
    journal: Journal
    """Logs the progress."""
    skip: bool
    """Whether to mark images that can't be decoded, instead of raising their errors."""

    def shapes(self, images: ShrunkImages) -> np.ndarray:
        """Read the headers: (N, 2) int32, height and width of each image, 0 for one that is marked.

        Raises:
            DataError: If a header can't be read, unless `skip`.
        """
        shapes = np.empty((len(images), 2), np.int32)
        for index in range(len(images)):
            try:
                shapes[index] = images.shape(index)
            except GoneError:
                raise
            except DataError:
                if not self.skip:
                    raise
                shapes[index] = 0
            if (index + 1) % BATCH == 0:
                self.journal.step("headers", index + 1, len(images))
        return shapes

    def fill(self, buffer: Buffer) -> None:
        """Decode all images into the buffer.

        Raises:
            DataError: If an image can't be decoded, unless `skip`.
        """
        done = 0
        jpeg_decoder()
        loaded: Loader[Done] = Loader(
            _Decoding(buffer, self.skip),
            batch_sampler=in_order(len(buffer), BATCH),
            num_workers=self.num_workers,
            collate_fn=_as_is,
        )
        for undecodable, count in loaded:
            for index in undecodable:
                buffer.mark_undecodable(index)
            done += count
            self.journal.step("decode", done, len(buffer))


class _Decoding(Dataset[Done]):
    """Decodes images into a buffer, a batch at a time."""

    def __init__(self, buffer: Buffer, skip: bool) -> None:
        self.buffer, self.skip = buffer, skip

    def __getitems__(self, positions: Sequence[Position]) -> Done:
        undecodable = []
        for _, index in positions:
            if self.buffer.shapes[index, 0] <= 0:
                continue
            try:
                self.buffer.put(index, self.buffer.images.picture(index).pixels())
            except GoneError:
                raise
            except DataError:
                if not self.skip:
                    raise
                undecodable.append(index)
        return undecodable, len(positions)


def _as_is(done: Done) -> Done:
    return done
