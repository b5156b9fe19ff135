"""Decoded images in memory."""

from pretrain.core.launcher import processes_here
from pretrain.core.memory import free_memory, gib, require
from pretrain.core.workers import shared_bytes
from pretrain.images.cache.buffer import Buffer, pixel_bytes
from pretrain.images.cache.fill import Filler
from pretrain.images.cache.shrink import ShrunkImages


def filled(images: ShrunkImages, filler: Filler) -> Buffer:
    """Decode the images into memory that loader workers share.

    Raises:
        DataError: If they don't fit once per process of this machine, or one can't be decoded.
    """
    shapes = filler.shapes(images)
    needed = pixel_bytes(shapes)
    fix = "use --cache disk, a smaller cache_side, or no cache"
    require(needed * processes_here(), free_memory(filler.num_workers), "memory", fix)
    filler.journal.say(f"caching {len(images):,} images in memory: {gib(needed)}")
    buffer = Buffer(shapes, shared_bytes(needed), images)
    filler.fill(buffer)
    return buffer
