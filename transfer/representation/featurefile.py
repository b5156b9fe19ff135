"""Features of a set of images in one mapped file of the cache folder: read once, for all runs that want the same.

Shapes: N images, D features. While it is read, `KEY.part.npy` has the rows and `KEY.done` a byte for each batch, in whatever
order they come; when all are there, it is renamed to `KEY.npy`.
"""

import contextlib
import os
import shutil
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
from pretrain.images.loading import Position, in_order
from pretrain.images.stores import UNREADABLE

FOLDER = "features"
"""Folder of the cache folder."""
KEPT = 64 * 2**30
"""Bytes of features that are kept at most: those that were not used for the longest time give way to new ones."""
LOOKED_INTO = 256
"""Images whose bytes are part of what tells files apart: names and sizes don't see images that were drawn anew."""
COMMIT_EVERY = 100
"""Batches between two marks of what is done, which a kill costs at most."""
Read = Callable[[list[list[Position]]], Iterator[Tensor]]
"""Reads the features (n, D) of batches of positions."""


def key_of(images: ImageSet, how: dict[str, Any]) -> str:
    """Return what tells the features of these images, read in this way, from all others."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(LOOKED_INTO, len(images))).astype(np.int64)).tolist()
    content = [_checksum(images, index) for index in chosen]
    versions = [torch.__version__, PIL.__version__]
    return digest({**how, "images": images.fingerprint(labels=False), "content": content, "versions": versions})


def features(images: ImageSet, name: str, key: str, read: Read, journal: Journal, *, batch: int, width: int) -> Tensor:
    """Return the features (N, D) of all images, on the CPU: found, or read now, every process a part of the batches.

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
        shape = len(images), width
        if distributed.largest(0 if distributed.rank() else int(_found(path, shape) is not None)):
            journal.say(f"features of {name} are in {path}")
        else:
            _Reading(path, shape, in_order(len(images), batch)).run(read, name, journal)
        found = _found(path, shape)
    _require_shared(path, found is not None)
    assert found is not None
    return torch.from_numpy(found)


class _Reading:
    """A file that is read."""

    def __init__(self, path: Path, shape: tuple[int, int], batches: Sequence[list[Position]]) -> None:
        self.path, self.batches, self.images = path, batches, shape[0]
        self.part, self.marks = path.with_suffix(".part.npy"), path.with_suffix(".done")
        with distributed.first_alone():
            if not distributed.rank():
                self._begin(shape)
        _require_shared(path, self.part.is_file())
        self.rows = np.load(self.part, mmap_mode="r+")
        self.done = np.memmap(self.marks, np.uint8, "r+", shape=(len(batches),))
        self.left = [index for index in range(len(batches)) if not self.done[index]]
        self.count = sum(len(batches[index]) for index in range(len(batches)) if self.done[index])
        self._written: list[int] = []
        distributed.barrier()  # what is left is the same in all processes: none has marked anything yet

    def _begin(self, shape: tuple[int, int]) -> None:
        """Make the files, unless they are there as a broken run left them."""
        if _shape(self.part) == shape and self.marks.is_file() and self.marks.stat().st_size == len(self.batches):
            return
        with translating_os_errors("keep features", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _make_room(self.path.parent, 4 * shape[0] * shape[1])
            self.marks.unlink(missing_ok=True)
            open_memmap(self.part, "w+", np.float32, shape).flush()
            self.marks.write_bytes(bytes(len(self.batches)))

    def run(self, read: Read, name: str, journal: Journal) -> None:
        """Read what is left, in rounds of a batch for every process, and rename the file."""
        with interrupt.saving(lambda: self._commit(name)):
            for number, error in enumerate(self._rounds(read), start=1):
                processes = distributed.world()
                self.count += sum(len(self.batches[at]) for at in self.left[(number - 1) * processes : number * processes])
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
            self.marks.unlink()
        distributed.barrier()

    def _rounds(self, read: Read) -> Iterator[BenchError | None]:
        """Read and keep this process's batch of each round; yields what went wrong."""
        mine, rounds = distributed.dealt(self.left), -(-len(self.left) // distributed.world())
        found = read([self.batches[index] for index in mine])
        for number in range(rounds):
            try:
                if number < len(mine):
                    batch = self.batches[mine[number]]
                    self.rows[batch[0][1] : batch[-1][1] + 1] = next(found).float().numpy()
                    self._written.append(mine[number])
                yield None
            except BenchError as error:
                yield error

    def _commit(self, name: str) -> str:
        """Mark what has been read, once it is on the disk; returns how much it is."""
        self.rows.flush()
        self.done[self._written] = 1
        self.done.flush()
        self._written.clear()
        return f"features of {self.count} of {self.images} {name} images"


def _found(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Open a whole file: (N, D) float32, of which changes stay in this process; None if there is none."""
    if _shape(path) != shape:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # when it was used
    return np.asarray(np.load(path, mmap_mode="c"))


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
    files = sorted(folder.glob("*.npy"), key=lambda file: file.stat().st_mtime)
    kept = sum(file.stat().st_size for file in files)
    while files and (kept + needed > KEPT or needed > shutil.disk_usage(folder).free):
        kept -= files[0].stat().st_size
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
