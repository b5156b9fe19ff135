"""Images decoded once and kept as uint8 RGB, short side at most so many pixels: in shared memory, or in a memory-mapped file.

For sets that fit. Every process of a run that is spread over several keeps memory of its own; a file is shared by all.
"""

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pretrain.core import distributed
from pretrain.core.errors import DataError, GoneError
from pretrain.core.interrupt import ignore
from pretrain.core.journal import Journal
from pretrain.core.memory import free_memory, gib, require, reserve
from pretrain.images.decode import reductions
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Images, Position, in_order

FORMAT = "v1"
"""Of the file; part of its name."""
SHAPE_BYTES = 8
"""Of an image's height and width, two int32, which precede all pixels in the file."""
FILLED_AT_ONCE = 64
"""Images decoded between two reports of progress."""


@dataclass(frozen=True)
class Ready:
    """An image (3, H, W) that is decoded already."""

    decoded: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.decoded.shape[2], self.decoded.shape[1]

    def pixels(self) -> Tensor:
        """The image."""
        return self.decoded


@dataclass(frozen=True)
class Shrunk:
    """Images whose short side is at most `side` pixels, resized with an antialiased bilinear filter where it is longer."""

    images: ImageSet
    side: int
    reduced: bool
    """Whether JPEGs much larger than that are decoded smaller."""

    def __len__(self) -> int:
        return len(self.images)

    def shape(self, index: int) -> tuple[int, int]:
        """Height and width of an image, in pixels, from its header alone."""
        width, height = self._size(*self.images.picture(index).size)
        return height, width

    def picture(self, index: int) -> Ready:
        """One image."""
        picture = self.images.picture(index)
        width, height = picture.size
        size = self._size(width, height)
        if size == (width, height):
            return Ready(picture.pixels())
        reducible = self.reduced and picture.reducible
        factor = reductions([np.array([[0, 0, width, height]])], [self.side])[0] if reducible else 1
        image, box = picture.rgb(factor), (0, 0, width / factor, height / factor)
        small = image.resize(size, Image.Resampling.BILINEAR, box=box)
        return Ready(torch.from_numpy(np.array(small)).permute(2, 0, 1))

    def _size(self, width: int, height: int) -> tuple[int, int]:
        short = min(width, height)
        if short <= self.side:
            return width, height
        return round(width * self.side / short), round(height * self.side / short)


class Kept:
    """Decoded images in one buffer, which no process copies."""

    def __init__(self, shapes: np.ndarray, store: Tensor | Path, images: Shrunk) -> None:
        """Images in a buffer that may not be filled yet.

        Args:
            shapes: (N, 2) int32, height and width of each; 0 or negative for an image that can't be decoded.
            store: The pixels of all images one after the other, as a shared tensor or as a file.
            images: What is kept.
        """
        self.shapes, self.store, self.images = shapes, store, images
        self._starts = np.concatenate([[0], np.cumsum(shapes.astype(np.int64).prod(axis=1) * 3)])
        self._pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.shapes)

    def picture(self, index: int) -> Ready:
        """One image.

        Raises:
            DataError: If it couldn't be decoded when the others were, and still can't.
        """
        if self.shapes[index, 0] <= 0:
            return self.images.picture(index)
        return Ready(self._part(index).permute(2, 0, 1))

    def put(self, index: int, decoded: Tensor) -> None:
        """Keep an image (3, H, W)."""
        self._part(index).copy_(decoded.permute(1, 2, 0))

    def lack(self, index: int) -> None:
        """Note that an image can't be decoded."""
        self.shapes[index] = -abs(self.shapes[index])

    def _part(self, index: int) -> Tensor:
        """The place of an image (H, W, 3)."""
        if self._pixels is None:
            self._pixels = self.store if isinstance(self.store, Tensor) else self._mapped(self.store)
        return self._pixels[self._starts[index] : self._starts[index + 1]].view(*abs(self.shapes[index]), 3)

    def _mapped(self, path: Path) -> Tensor:
        size = path.stat().st_size
        return torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8)[SHAPE_BYTES * len(self) :]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pixels": None}  # a process that doesn't inherit the mapping makes its own


Done = tuple[list[int], int]


class _Filling(Dataset[Done]):
    """Decodes images into a buffer; a batch is the indices of those that can't be decoded, and how many were tried."""

    def __init__(self, images: Shrunk, kept: Kept, skip: bool) -> None:
        self.images, self.kept, self.skip = images, kept, skip

    def __getitems__(self, positions: Sequence[Position]) -> Done:
        undecodable = []
        for _, index in positions:
            if self.kept.shapes[index, 0] <= 0:
                continue
            try:
                self.kept.put(index, self.images.picture(index).pixels())
            except GoneError:
                raise
            except DataError:
                if not self.skip:
                    raise
                undecodable.append(index)
        return undecodable, len(positions)


def open_images(
    images: ImageSet,
    where: Literal["ram", "disk"] | None,
    *,
    side: int | None,
    reduced: bool,
    num_workers: int,
    journal: Journal,
    skip: bool = False,
) -> Images:
    """The images as a run crops them.

    Args:
        images: The files.
        where: Where decoded images are kept; None: each is decoded whenever it is wanted.
        side: Pixels that a short side has at most; None: images stay as they are.
        reduced: Whether JPEGs much larger than that are decoded smaller.
        num_workers: Processes that decode what is to be kept.
        journal: Told of the work.
        skip: Whether an image that can't be decoded is an error only when it is asked for.

    Raises:
        DataError: If the memory or the disk is too small, or an image can't be decoded.
    """
    if side is None:
        return images
    small = Shrunk(images, side, reduced)
    if where is None:
        return small
    if where == "disk":
        with distributed.first_alone():
            return _on_disk(small, num_workers, journal, skip)
    shapes = _shapes(small, journal, skip)
    needed = _pixels(shapes)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # on this machine, under torch's launcher
    require(needed * processes, free_memory(num_workers), "memory", "use --cache disk, a smaller cache_side, or no cache")
    journal.say(f"keeping {len(images):,} images in memory: {gib(needed)}")
    store = torch.empty(needed, dtype=torch.uint8)
    filling = _Filling(small, Kept(shapes, store.share_memory_() if num_workers else store, small), skip)
    return _filled(filling, num_workers, journal)


def _on_disk(small: Shrunk, num_workers: int, journal: Journal, skip: bool) -> Kept:
    """Images in a file of the user's cache folder, which is written whole or not at all."""
    path = _file(small)
    if path.is_file() and (found := _stored(path, small)):
        journal.say(f"decoded images are in {path}")
        return found
    shapes = _shapes(small, journal, skip)
    needed = SHAPE_BYTES * len(small) + _pixels(shapes)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # the folder may be several machines'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        require(needed, free, f"disk below {path.parent}", "free some, set XDG_CACHE_HOME to another disk, or use no cache")
        journal.say(f"keeping {len(small):,} images in {path}: {gib(needed)}")
        with unfinished.open("wb") as file:
            file.write(shapes.tobytes())
            file.flush()
            reserve(file.fileno(), needed)
        _filled(_Filling(small, Kept(shapes, unfinished, small), skip), num_workers, journal)
        with unfinished.open("r+b") as file:
            file.write(shapes.tobytes())  # again: now they say what couldn't be decoded
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise DataError(
            f"can't keep decoded images in {path.parent}", seen=error, fix="set XDG_CACHE_HOME, or use no cache"
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return Kept(shapes, path, small)


def _file(small: Shrunk) -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench-transfer"
    reduced = "-reduced" if small.reduced else ""
    return folder / f"{small.images.fingerprint(labels=False)}-{small.side}px{reduced}.{FORMAT}"


def _stored(path: Path, small: Shrunk) -> Kept | None:
    """What an earlier run left; None if it is not whole."""
    images = len(small)
    if path.stat().st_size < SHAPE_BYTES * images:
        return None
    shapes = np.fromfile(path, np.int32, 2 * images).reshape(images, 2)
    return Kept(shapes, path, small) if path.stat().st_size == SHAPE_BYTES * images + _pixels(shapes) else None


def _shapes(small: Shrunk, journal: Journal, skip: bool) -> np.ndarray:
    shapes = np.empty((len(small), 2), np.int32)
    for index in range(len(small)):
        try:
            shapes[index] = small.shape(index)
        except GoneError:
            raise
        except DataError:
            if not skip:
                raise
            shapes[index] = 0
        if (index + 1) % FILLED_AT_ONCE == 0:
            journal.step("headers", index + 1, len(small))
    return shapes


def _pixels(shapes: np.ndarray) -> int:
    """Bytes of all images."""
    return int(shapes.astype(np.int64).prod(axis=1).sum()) * 3


def _filled(filling: _Filling, num_workers: int, journal: Journal) -> Kept:
    images = len(filling.images)
    batches = in_order(images, FILLED_AT_ONCE)
    done = 0
    loaded: DataLoader[Done] = DataLoader(
        filling,
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=_as_is,  # type: ignore[arg-type]
        worker_init_fn=ignore,
    )
    for lacking, count in loaded:
        for index in lacking:
            filling.kept.lack(index)
        done += count
        journal.step("decode", done, images)
    return filling.kept


def _as_is(done: Done) -> Done:
    return done
