"""Decode every image of a data set as a run does, many at a time: what a check finds, and what a run is to do without.

Label maps are decoded when they are read.
"""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pretrain.core.errors import DataError
from pretrain.core.journal import Progress
from pretrain.images.decode import opened, rgb
from pretrain.images.imageset import ImageSet
from transfer.datasets import Tell
from transfer.datasets.imagefolder import ClassificationData
from transfer.datasets.objects import DetectionData, Picture, image_size, read_image, require_size
from transfer.datasets.segmentation import Pair, SegmentationData

Content = ClassificationData | DetectionData | SegmentationData
THREADS = 8
"""Images decoded at once, at most; decoders release Python's lock."""
AT_ONCE = 1024
"""Images handed to the threads at a time: a list of all would need as much memory as their names."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An image of a data set, before it is read."""

    split: str
    """`train` or `val`."""
    name: str
    """Its name below the split, or the root."""
    decode: Callable[[], np.ndarray]
    """Decodes it to RGB (H, W, 3); raises DataError where a run would."""
    glance: Callable[[], object]
    """Reads the header alone; raises DataError where that tells that a run would."""
    content: Callable[[], bytes]
    """Reads the bytes of its file."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of an image."""

    problem: DataError | None = None
    pixels: int = 0
    """Digest of its size and pixels, of 64 bits."""
    file: int = 0
    """Digest of its file, of 64 bits."""


def listed(data: Content) -> list[Listed]:
    """List the images of the training split, then those of the validation split."""
    if isinstance(data, DetectionData):
        return [*map(partial(_detected, "train"), data.train), *map(partial(_detected, "val"), data.val)]
    if isinstance(data, SegmentationData):
        return [*map(partial(_segmented, "train"), data.train), *map(partial(_segmented, "val"), data.val)]
    return [*_classified("train", data.train), *_classified("val", data.val)]


def headers(images: Sequence[Listed], tell: Tell, progress: Progress) -> None:
    """Read the header of every image; tells of those that are no images, or have another size than annotated."""
    for seen in _each(images, _glanced, "headers read", progress):
        if seen.problem is not None:
            tell(seen.problem)


def decoded(images: Sequence[Listed], tell: Tell, progress: Progress, *, digests: bool = False) -> list[Seen]:
    """Decode every image as a run does; tells of those that can't be.

    Args:
        images: What `listed` returned.
        tell: Called with each problem, in the images' order.
        progress: Called with every image.
        digests: Whether to digest files and pixels.

    Returns:
        What came of each image.
    """
    found = []
    for seen in _each(images, partial(_decoded, digests=digests), "images decoded", progress):
        found.append(seen)
        if seen.problem is not None:
            tell(seen.problem)
    return found


def _each(images: Sequence[Listed], look: Callable[[Listed], Seen], stage: str, progress: Progress) -> Iterator[Seen]:
    done, waiting = 0, iter(images)
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        while part := list(itertools.islice(waiting, AT_ONCE)):
            for seen in pool.map(look, part):
                done += 1
                yield seen
                progress(stage, done, len(images), {})


def _glanced(image: Listed) -> Seen:
    try:
        image.glance()
    except DataError as problem:
        return Seen(problem)
    return Seen()


def _decoded(image: Listed, *, digests: bool) -> Seen:
    try:
        pixels = image.decode()
        if not digests:
            return Seen()
        shape = np.array(pixels.shape, np.int64).tobytes()
        return Seen(None, _digest(shape, pixels.tobytes()), _digest(image.content()))
    except DataError as problem:
        return Seen(problem)
    except OSError as error:  # it was there a moment ago
        return Seen(DataError(f"can't read {image.name}", seen=error))


def _digest(*parts: bytes) -> int:
    whole = hashlib.blake2b(digest_size=8)
    for part in parts:
        whole.update(part)
    return int.from_bytes(whole.digest(), "big")


def _classified(split: str, images: ImageSet) -> Iterator[Listed]:
    def decode(index: int) -> np.ndarray:
        return images.picture(index).pixels().permute(1, 2, 0).numpy()

    for index, name in enumerate(images.names):
        glance, content = partial(images.picture, index), partial(images.members.read, index)
        yield Listed(split, name, partial(decode, index), glance, content)


def _detected(split: str, picture: Picture) -> Listed:
    path = picture.path

    def glance() -> None:
        require_size(path, (picture.width, picture.height), image_size(path))

    return Listed(split, str(path), lambda: np.asarray(read_image(picture)), glance, path.read_bytes)


def _segmented(split: str, pair: Pair) -> Listed:
    path = pair.image

    def decode() -> np.ndarray:
        with opened(path, str(path)) as image:
            return np.asarray(rgb(image, str(path)))

    return Listed(split, str(path), decode, lambda: opened(path, str(path)).close(), path.read_bytes)
