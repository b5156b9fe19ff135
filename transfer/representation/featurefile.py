"""Features of a set of images in one mapped file of the cache folder: read once, for all runs that want the same.

Shapes: N images, D features, B batches. While it is read, `KEY.npy.part` has the rows, in whatever order the batches come; when
all are there, it is renamed to `KEY.npy`. `KEY.npy.sums` has a checksum of each batch that was read: what was damaged since, or
was not on the disk when the machine stopped, is read anew.
"""

import contextlib
import mmap
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from pretrain.core import distributed, interrupt
from pretrain.core.cachefolder import cache_folder
from pretrain.core.errors import BenchError, ConfigError, DataError
from pretrain.core.journal import Journal
from pretrain.core.machine_errors import translating_os_errors
from pretrain.core.memory import require
from pretrain.core.settings import digest
from pretrain.core.turns import turn
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import InOrder, in_order
from pretrain.images.stores import UNREADABLE

VERSION = 2
"""Version of how features are read and kept; raised with every change that moves one, and part of their key."""
FOLDER = "features"
"""Folder of the cache folder."""
KEPT = 64 * 2**30
"""Bytes of features that are kept at most: those that were not used for the longest time give way to new ones."""
LOOKED_INTO = 256
"""Images whose bytes are part of what tells files apart: names and sizes don't see images that were drawn anew."""
COMMIT_EVERY = 100
"""Batches between two marks of what is done, which a kill costs at most."""
ABANDONED = 24 * 3600
"""Seconds since the last mark after which what a broken run has read may give way: a run marks every few minutes."""
SUM = 8
"""Bytes of a checksum."""
WRITTEN = 2**32
"""Beside the checksum of a batch that was read; 0 where none was."""
Read = Callable[[InOrder], Iterator[Tensor]]
"""Reads the features (n, D) of batches of positions."""
Rows = np.memmap[tuple[int, ...], np.dtype[np.float32]]
"""Features (N, D) in a mapped file."""


def key_of(images: ImageSet, how: dict[str, Any]) -> str:
    """Return what tells the features of these images, read in this way, from all others; of several processes the first's."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(LOOKED_INTO, len(images))).astype(np.int64)).tolist()
    content = [_checksum(images, index) for index in chosen]
    import torchvision  # for seconds, which a run that keeps no features does without

    versions = [VERSION, torch.__version__, torchvision.__version__, PIL.__version__]  # the last two decode
    what = {**how, "images": images.fingerprint(labels=False), "content": content, "versions": versions}
    return distributed.everywhere(digest(what))[0]


def features(images: ImageSet, name: str, key: str, read: Read, journal: Journal, *, batch: int, width: int) -> Rows:
    """Return the features (N, D) of all images, mapped: found, or read now, every process a part of the batches.

    Args:
        images: The images.
        name: What they are called in the log.
        key: What `key_of` returned, with what a person calls it before it.
        read: Reads batches.
        journal: Logs the progress.
        batch: Images in a batch.
        width: D.

    Raises:
        Interrupted: If asked to stop; what has been read stays.
        DataError: If an image can't be read, or the disk is too small.
    """
    path = cache_folder() / FOLDER / f"{key}.npy"
    with contextlib.ExitStack() as first:
        if not distributed.rank():
            first.enter_context(turn(path))
        shape, batches = (len(images), width), in_order(len(images), batch)
        if distributed.largest(0 if distributed.rank() else int(_is_sound(path, shape, batches))):
            journal.say(f"features of {name} are in {path}")
        else:
            _Reading(path, shape, batches).run(read, name, journal)
        found = _found(path, shape)
    _require_shared(path, found is not None)
    assert found is not None
    return found


def stretches(found: Rows, rows: int) -> Iterator[Tensor]:
    """Yield the features in stretches of so many rows, of which the memory is given back behind each."""
    for first in range(0, len(found), rows):
        yield torch.from_numpy(found[first : first + rows])
        _give_back(found)


class _Reading:
    """A file that is read."""

    def __init__(self, path: Path, shape: tuple[int, int], batches: InOrder) -> None:
        self.path, self.batches, self.images = path, batches, shape[0]
        self.part = path.with_name(f"{path.name}.part")
        with distributed.first_alone():
            if not distributed.rank():
                self._begin(shape)
        _require_shared(path, self.part.is_file())
        self.rows: Rows = np.load(self.part, mmap_mode="r+")
        self.sums = np.memmap(_sums(path), np.uint64, "r+", shape=(len(batches),))
        self.left = distributed.everywhere([] if distributed.rank() else _unread(self.rows, self.sums, batches))[0]
        self.count = self.images - self._size(self.left)
        self._written: list[int] = []

    def _begin(self, shape: tuple[int, int]) -> None:
        """Make the files, unless they are there as a broken run left them."""
        sums = _sums(self.path)
        if _shape(self.part) == shape and _is_of(sums, self.batches):
            return
        with translating_os_errors("keep features", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _make_room(self.path.parent, 4 * shape[0] * shape[1])
            sums.unlink(missing_ok=True)
            open_memmap(self.part, "w+", np.float32, shape).flush()
            sums.write_bytes(bytes(SUM * len(self.batches)))

    def _size(self, numbers: Sequence[int]) -> int:
        """Count the images of some batches."""
        return sum(last - first for first, last in map(self.batches.bounds, numbers))

    def run(self, read: Read, name: str, journal: Journal) -> None:
        """Read what is left, in rounds of a batch for every process, and rename the file."""
        with interrupt.saving(lambda: self._commit(name)):
            for number, error in enumerate(self._rounds(read), start=1):
                processes = distributed.world()
                self.count += self._size(self.left[(number - 1) * processes : number * processes])
                journal.step(f"features of {name}", self.count, self.images)
                by = distributed.agreed_stop(error)
                if by or number % COMMIT_EVERY == 0:
                    said = self._commit(name)
                if by:
                    raise interrupt.Interrupted(by, said)
        self._commit(name)
        distributed.barrier()
        if not distributed.rank():
            os.replace(self.part, self.path)
        distributed.barrier()

    def _rounds(self, read: Read) -> Iterator[BenchError | None]:
        """Read and keep this process's batch of each round; yields what went wrong."""
        mine, rounds = distributed.dealt(self.left), -(-len(self.left) // distributed.world())
        found = read(self.batches.part(mine))
        for number in range(rounds):
            try:
                if number < len(mine):
                    self.rows[slice(*self.batches.bounds(mine[number]))] = next(found).float().numpy()
                    self._written.append(mine[number])
                yield None
            except BenchError as error:
                yield error

    def _commit(self, name: str) -> str:
        """Mark what has been read, once it is on the disk; returns how much it is."""
        self.rows.flush()
        for number in self._written:
            self.sums[number] = _sum(self.rows, self.batches, number)
        self.sums.flush()
        self._written.clear()
        _give_back(self.rows)
        return f"features of {self.count} of {self.images} {name} images"


def _sums(path: Path) -> Path:
    """Name the file of the checksums (B,) uint64."""
    return path.with_name(f"{path.name}.sums")


def _sum(rows: Rows, batches: InOrder, number: int) -> int:
    return WRITTEN | zlib.crc32(np.ascontiguousarray(rows[slice(*batches.bounds(number))]).data)


def _unread(rows: Rows, sums: np.ndarray, batches: InOrder) -> list[int]:
    """Return which batches aren't there as they were read."""
    unread = []
    for number, known in enumerate(sums.tolist()):
        if not known or known != _sum(rows, batches, number):
            unread.append(number)
        if number % COMMIT_EVERY == 0:
            _give_back(rows)
    _give_back(rows)
    return unread


def _give_back(rows: Rows) -> None:
    """Give the memory of a mapped file back to the system, which maps what is asked for again, mostly from its own cache.

    Changes of a file that is mapped to be written stay; those of one whose changes stay in this process are lost.
    """
    if isinstance(rows.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        rows.base.madvise(mmap.MADV_DONTNEED)


def _is_of(sums: Path, batches: InOrder) -> bool:
    return sums.is_file() and sums.stat().st_size == SUM * len(batches)


def _is_sound(path: Path, shape: tuple[int, int], batches: InOrder) -> bool:
    """Tell whether a file is whole, and every batch in it as it was read."""
    if _shape(path) != shape or not _is_of(_sums(path), batches):
        return False
    return not _unread(np.load(path, mmap_mode="r"), np.fromfile(_sums(path), np.uint64), batches)


def _found(path: Path, shape: tuple[int, int]) -> Rows | None:
    """Open a whole file: (N, D) float32, of which changes stay in this process; None if there is none."""
    if _shape(path) != shape:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # when it was used
    found: Rows = np.load(path, mmap_mode="c")
    return found


def _shape(path: Path) -> tuple[int, ...] | None:
    """Return the shape of an array of float32 in a file; None where there is no such array."""
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return found.shape if found.dtype == np.float32 else None


def _make_room(folder: Path, needed: int) -> None:
    """Remove the files that were not used for the longest time, where new ones need their place.

    Raises:
        DataError: If there is no place for the new one even so.
    """
    begun, now = folder.glob("*.npy.part"), time.time()
    abandoned = [file for file in begun if now - file.stat().st_mtime > ABANDONED]
    files = sorted([*folder.glob("*.npy"), *abandoned], key=lambda file: file.stat().st_mtime)
    kept = sum(file.stat().st_size for file in files)
    while files and (kept + needed > KEPT or needed > shutil.disk_usage(folder).free):
        kept -= files[0].stat().st_size
        _sums(files[0].with_suffix("") if files[0] in abandoned else files[0]).unlink(missing_ok=True)
        files.pop(0).unlink(missing_ok=True)
    fix = "free some, or set BENCH_CACHE to another disk"
    require(needed, shutil.disk_usage(folder).free, f"disk below {folder}", fix)


def _require_shared(path: Path, there: bool) -> None:
    """Refuse processes that don't see one cache folder, all of them together."""
    if distributed.largest(int(not there)):
        wrong = f"not all processes see {path}, in which they keep features together"
        raise ConfigError(wrong, fix="set BENCH_CACHE to a folder that all machines share")


def _checksum(images: ImageSet, index: int) -> int:
    try:
        return zlib.crc32(images.members.read(index))
    except (*UNREADABLE, DataError):
        return -1


def width_of(model: nn.Module, size: int, device: str) -> int:
    """Return how many features a network has for an image of that side."""
    with torch.inference_mode():
        return int(model(torch.zeros(1, 3, size, size, device=device)).shape[1])
