"""Images of a bounded short side, cached: decoded as uint8 RGB, in shared memory or in a memory-mapped file, or as JPEGs.

Decoded ones are for sets that fit. With memory every process of a run has its own copy; a file is shared by all.
"""

from typing import Literal

from pretrain.core import distributed
from pretrain.core.journal import Journal
from pretrain.images.cache import disk, jpegs, ram
from pretrain.images.cache.fill import Filler
from pretrain.images.cache.shrink import ShrunkImages
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Images


def open_images(
    images: ImageSet,
    where: Literal["ram", "disk", "jpeg"] | None,
    *,
    side: int | None,
    reduced: bool,
    num_workers: int,
    journal: Journal,
    skip: bool = False,
) -> Images:
    """Open a run's images: as they are, resized whenever one is read, or decoded or re-encoded now and cached.

    Args:
        images: The image files.
        where: Where and how images are cached; None: each is decoded whenever it is read.
        side: Largest short side in pixels; None: images keep their size, and nothing is cached.
        reduced: Whether JPEGs much larger than that are decoded at a fraction of their size.
        num_workers: Loader workers that decode the images to cache.
        journal: Logs the progress.
        skip: Whether an image that can't be decoded is an error only when it is read.

    Raises:
        DataError: If the memory or the disk is too small, or an image can't be decoded.
    """
    if side is None or where is None:
        return as_kept(images, None, side=side, reduced=reduced)
    shrunk = ShrunkImages(images, side, reduced)
    filler = Filler(num_workers, journal, skip)
    if where == "ram":
        return ram.filled(shrunk, filler)
    with distributed.first_alone():
        return jpegs.found_or_filled(shrunk, filler) if where == "jpeg" else disk.found_or_filled(shrunk, filler)


def as_kept(images: ImageSet, where: Literal["ram", "disk", "jpeg"] | None, *, side: int | None, reduced: bool) -> Images:
    """Open images as `open_images` does, but keep none: each is made when it is read, and is what would be kept of it."""
    if side is None:
        return images
    shrunk = ShrunkImages(images, side, reduced)
    return jpegs.Reencoded(shrunk) if where == "jpeg" else shrunk
