"""Decoded images in a file of the user's cache folder: all shapes (N, 2) int32, then all pixels."""

import os
import shutil
import uuid
from pathlib import Path

import numpy as np

from pretrain.core.cachefolder import cache_folder
from pretrain.core.errors import DataError
from pretrain.core.memory import gib, require, reserve
from pretrain.images.cache.buffer import SHAPE_BYTES, Buffer, pixel_bytes
from pretrain.images.cache.fill import Filler
from pretrain.images.cache.shrink import ShrunkImages

FORMAT = "v1"
"""Version of the file's layout; part of its name."""


def found_or_filled(images: ShrunkImages, filler: Filler) -> Buffer:
    """Open the file that an earlier run left, or decode the images into a new one, which is written whole or not at all.

    Raises:
        DataError: If the disk is too small or the folder can't be written to, or an image can't be decoded.
    """
    path = _path(images)
    if path.is_file() and (found := _opened(path, images)):
        filler.journal.say(f"decoded images are in {path}")
        return found
    shapes = filler.shapes(images)
    needed = SHAPE_BYTES * len(images) + pixel_bytes(shapes)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # unique even if several machines share the folder
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        require(needed, free, f"disk below {path.parent}", "free some, set BENCH_CACHE to another disk, or use no cache")
        filler.journal.say(f"caching {len(images):,} images in {path}: {gib(needed)}")
        _write(unfinished, Buffer(shapes, unfinished, images), needed, filler)
        unfinished.replace(path)
    except OSError as error:
        fix = "set BENCH_CACHE, or use no cache"
        raise DataError(f"can't cache decoded images in {path.parent}", seen=error, fix=fix) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return Buffer(shapes, path, images)


def _path(images: ShrunkImages) -> Path:
    folder = cache_folder()
    reduced = "-reduced" if images.reduced else ""
    return folder / f"{images.images.fingerprint(labels=False)}-{images.side}px{reduced}.{FORMAT}"


def _opened(path: Path, images: ShrunkImages) -> Buffer | None:
    """Open a file that is there; None if it isn't whole."""
    size = path.stat().st_size
    if size < SHAPE_BYTES * len(images):
        return None
    shapes = np.fromfile(path, np.int32, 2 * len(images)).reshape(len(images), 2)
    return Buffer(shapes, path, images) if size == SHAPE_BYTES * len(images) + pixel_bytes(shapes) else None


def _write(path: Path, buffer: Buffer, size: int, filler: Filler) -> None:
    """Write a file of `size` bytes: the shapes, then the pixels."""
    with path.open("wb") as file:
        file.write(buffer.shapes.tobytes())
        file.flush()
        reserve(file.fileno(), size)
    filler.fill(buffer)
    with path.open("r+b") as file:
        file.write(buffer.shapes.tobytes())  # again: now they mark the images that couldn't be decoded
        file.flush()
        os.fsync(file.fileno())
