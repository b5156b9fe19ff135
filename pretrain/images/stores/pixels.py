"""Images that are arrays of pixels, not files: each is handed out as an uncompressed image file, which costs a copy.

An example: CIFAR's image 3 of class 6 (frog) is `frog/000003-5f1c02ab.ppm`. The last eight digits are a checksum of its pixels,
so that the fingerprint, which covers names and sizes, tells other pixels.
"""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.core.errors import BenchError, DataError
from pretrain.core.memory import free_memory, gib
from pretrain.images.stores import listed
from pretrain.images.unread import Unread

GREY, COLOUR = 1, 3
"""Channels that an image may have."""
LARGEST = 255
LEVELS = 3
"""Folders inside each other that are looked into: torchvision has MNIST in `MNIST/raw`."""
MOST, FEW = 5000, 100
"""Entries of a folder that are looked at, and folders."""


@dataclass(frozen=True)
class Pixels:
    """Images in memory. A read shares nothing."""

    file: Path
    """What they were read from."""
    array: np.ndarray
    """(M, H, W, C) bytes, C 1 or 3."""
    rows: np.ndarray
    """(N,) the number of each image in it."""

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, indices: Sequence[int]) -> "Pixels":
        """Select images by their indices."""
        return Pixels(self.file, self.array, self.rows[np.asarray(indices, np.int64)])

    def sizes(self) -> Iterator[int]:
        """Yield the bytes of each image as a file."""
        each = len(self._heading) + int(np.prod(self.array.shape[1:]))
        return iter([each] * len(self))

    def read(self, index: int) -> bytes:
        """Return one image as a PPM file; as a PGM file if it is grey."""
        return self._heading + self.array[self.rows[index]].tobytes()

    def source(self, index: int) -> Path:
        """Return the file that an image was read from."""
        return self.file

    @property
    def _heading(self) -> bytes:
        height, width, channels = self.array.shape[1:]
        return f"P{6 if channels == COLOUR else 5}\n{width} {height}\n{LARGEST}\n".encode()


def store(file: Path, array: np.ndarray, labels: Sequence[int], classes: Sequence[str] | None, *remarks: str) -> listed.Listed:
    """Make the store of a split.

    Args:
        file: What it was read from.
        array: (N, H, W) or (N, H, W, C) whole numbers from 0 to 255, C 1 or 3.
        labels: (N,) numbers of classes.
        classes: Names of the classes 0, 1, …; None: a file beside `file` may name them.
        remarks: What there is to know of it.

    Raises:
        DataError: If there is no image, an array of another kind, or a label too few, too many or without a name.
    """
    pixels = _bytes(array, file)
    if len(labels) != len(pixels):
        seen = f"{len(pixels):,} images, {len(labels):,} labels"
        raise DataError(f"the images and labels in {file} don't fit each other", seen=seen, fix="download both again")
    names = [f"{row:06d}-{zlib.crc32(image.tobytes()):08x}" for row, image in enumerate(pixels)]
    given = classes if classes is not None else listed.names_beside(file.parent)
    ordered, each = listed.classes_of([int(label) for label in labels], names, given, file)
    ending = "ppm" if pixels.shape[3] == COLOUR else "pgm"
    paths = [f"{cls}/{name}.{ending}" for cls, name in zip(each, names, strict=True)]
    members = Pixels(file, pixels, np.arange(len(pixels)))
    return listed.in_order(file, ordered, paths, members, unread=Unread(remarks=list(remarks)))


def _bytes(array: np.ndarray, file: Path) -> np.ndarray:
    """Return images as bytes (N, H, W, C)."""
    shape = array.shape if array.ndim != GREY + 2 else (*array.shape, GREY)
    if len(shape) != 4 or shape[3] not in (GREY, COLOUR) or 0 in shape:
        raise DataError(
            f"the array in {file} holds no images that are read",
            seen=f"shape {array.shape}",
            allowed="(images, height, width), or (images, height, width, 3) for colours, one image or more",
            fix="videos, volumes and features are no images; channels come last",
        )
    if array.dtype != np.uint8:
        ordered = f" from {array.min()} to {array.max()}" if array.dtype.kind in "iufb" else ""
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > LARGEST:
            raise DataError(
                f"the pixels in {file} are no bytes",
                seen=f"{array.dtype}{ordered}",
                allowed="whole numbers from 0 to 255",
                fix="scale them to 0 to 255, and save them as uint8",
            )
        array = array.astype(np.uint8)
    return array.reshape(shape)


def require_room(file: Path, size: int) -> None:
    """Refuse arrays larger than the memory.

    Raises:
        DataError: With both sizes.
    """
    if size > (free := free_memory(0)):
        raise DataError(
            f"{file} doesn't fit into memory, where its images must lie",
            seen=f"{gib(size)} of pixels, {gib(free)} free",
            fix="unpack it into a folder of images, or tars of them, which are read at random",
        )


def place(root: Path, holds: Callable[[Path], Any]) -> Path | None:
    """Return the folder with what is looked for: the root, or the only one of the folders in it, or in those, that has it."""
    level = [root] if root.is_dir() else []
    for _ in range(LEVELS):
        found = [folder for folder in level if holds(folder)]
        if found:
            return found[0] if len(found) == 1 else None
        level = [folder / name for folder in level for name in entries(folder) if (folder / name).is_dir()][:FEW]
    return None


def entries(folder: Path) -> list[str]:
    """Name what is in a folder, sorted; of a large one the first entries, which costs little, and of one that can't be listed
    nothing."""
    try:
        with os.scandir(folder) as found:
            return sorted(entry.name for entry in islice(found, MOST))
    except OSError:
        return []


def reading(file: Path, read: Callable[[], Any]) -> Any:
    """Return what a function reads of a file; whatever goes wrong in it is one message.

    Raises:
        DataError: With the file.
    """
    try:
        return read()
    except BenchError:
        raise
    except Exception as error:  # a broken file raises anything
        said = str(error).partition("\n")[0][:200] or type(error).__name__
        raise DataError(f"can't read {file}", seen=said, fix="download it again and compare its size") from None
