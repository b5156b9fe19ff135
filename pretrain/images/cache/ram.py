"""Decoded images in memory."""

import torch

from pretrain.core.launcher import processes_here
from pretrain.core.memory import free_memory, gib, require
from pretrain.images.cache.buffer import Buffer, pixel_bytes
from pretrain.images.cache.fill import Filler
from pretrain.images.cache.shrink import ShrunkImages


def filled(images: ShrunkImages, filler: Filler) -> Buffer:
    """Decode the images into memory; with loader workers into shared memory.

    Raises:
        DataError: If they don't fit once per process of this machine, or one can't be decoded.
    """
    shapes = filler.shapes(images)
    needed = pixel_bytes(shapes)
    fix = "use --cache disk, a smaller cache_side, or no cache"
    require(needed * processes_here(), free_memory(filler.num_workers), "memory", fix)
    filler.journal.say(f"caching {len(images):,} images in memory: {gib(needed)}")
    store = torch.empty(needed, dtype=torch.uint8)
    buffer = Buffer(shapes, store.share_memory_() if filler.num_workers else store, images)
    filler.fill(buffer)
    return buffer
