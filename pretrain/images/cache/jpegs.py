"""Images encoded once more, as JPEGs of a bounded short side, in one file of the user's cache folder.

For sets that are too large to be kept decoded. An image that is a JPEG and not larger stays as it is, byte for byte. The file
is the JPEGs one after another, then a table (N,) of `ROW`, then `_END`; it is mapped. While it is made, image after image, the
table grows in a file of its own beside it, so that a process that was killed in between goes on where it was.
"""

import io
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from pretrain.core import interrupt
from pretrain.core.cachefolder import cache_folder
from pretrain.core.errors import DataError, GoneError, ImageError
from pretrain.core.memory import gib
from pretrain.core.turns import turn
from pretrain.core.workers import Loader
from pretrain.images.cache.fill import BATCH, Filler
from pretrain.images.cache.shrink import ShrunkImages
from pretrain.images.decode import Picture, jpeg_decoder
from pretrain.images.loading import Position, in_order

FORMAT = "v1"
"""Version of the file's layout; part of its name."""
QUALITY = 95
"""Of the JPEGs, as Pillow counts it, with colours at half the resolution."""
LONGEST = 65_500
"""Pixels along a side of a JPEG at most, as libjpeg has it."""
ROW = np.dtype([("end", "<i8"), ("checksum", "<u4")])
"""Of an image: where its bytes end, and their CRC. It begins where the last one ends; without bytes it can't be decoded."""
_END = struct.Struct("<16sqI")
"""The last bytes of a file: `_MAGIC`, its images, the CRC of its table."""
_MAGIC = b"bench-jpegs-v1"

_told = False


@dataclass(eq=False)
class Jpegs:
    """The images of such a file, read at random, by any process."""

    path: Path
    images: ShrunkImages
    """The images that it was made of."""
    _mapped: tuple[np.ndarray, np.ndarray] | None = field(default=None, init=False)

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, index: int) -> Picture:
        """Look one image up.

        Raises:
            DataError: If it couldn't be decoded when the file was made, and still can't.
        """
        mapped, table = self._map()
        start, (end, checksum) = int(table["end"][index - 1]) if index else 0, table[index].item()
        data = mapped[start:end].tobytes()
        if not data:
            data = encoded(self.images, index)
        elif zlib.crc32(data) != checksum:
            data = self._again(index)
        return Picture(data, f"{self.images.images.names[index]} in {self.path}")

    def _again(self, index: int) -> bytes:
        """Encode an image whose bytes are damaged in the file, and say so once."""
        global _told
        if not _told:
            _told = True
            said = (
                f"{self.path} is damaged: what is broken there is encoded again from its image; remove it to have it made anew"
            )
            print(said, file=sys.stderr, flush=True)
        return encoded(self.images, index)

    def _map(self) -> tuple[np.ndarray, np.ndarray]:
        """Map the bytes of the file, and its table: memory that all processes share."""
        if self._mapped is None:
            mapped = np.asarray(np.memmap(self.path, np.uint8, "r"))  # a memmap's own indexing is slow
            self._mapped = mapped, mapped[: -_END.size][-len(self) * ROW.itemsize :].view(ROW)
        return self._mapped

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_mapped": None}  # a process that doesn't inherit the mapping makes its own


@dataclass(frozen=True)
class Reencoded:
    """The same images, each encoded whenever it is read."""

    images: ShrunkImages

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, index: int) -> Picture:
        """Encode one image; raises as `encoded` does."""
        return Picture(encoded(self.images, index), self.images.images.names[index])


def encoded(images: ShrunkImages, index: int) -> bytes:
    """Return an image as it is kept.

    Raises:
        DataError: If it can't be decoded, or is too long for a JPEG.
    """
    picture = images.images.picture(index)
    if picture.reducible and min(picture.size) <= images.side:
        picture.pixels()  # so that a file that can't be decoded is found now
        return picture.data
    pixels = images.of(picture).decoded.permute(1, 2, 0).numpy()
    if max(pixels.shape) > LONGEST:
        seen, fix = f"{pixels.shape[1]} × {pixels.shape[0]} pixels", "use --cache disk, or no cache"
        raise ImageError(f"{picture.name} is too long for a JPEG", seen=seen, allowed=f"{LONGEST:,} pixels a side", fix=fix)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def found_or_filled(images: ShrunkImages, filler: Filler) -> Jpegs:
    """Open the file that an earlier run left, or make it, or go on making it.

    Raises:
        DataError: If the disk is too small or the folder can't be written to, or an image can't be decoded.
        Interrupted: If a signal asked for a stop; what is made stays.
    """
    path = _path(images)
    with turn(path):
        if _is_whole(path, len(images)):
            filler.journal.say(f"re-encoded images are in {path}")
            return Jpegs(path, images)
        try:
            _Unfinished(path, images).finish(filler)
        except OSError as error:
            fix = "free some space, or set BENCH_CACHE to another disk; what is done stays"
            raise DataError(f"can't keep images in {path.parent}", seen=error, fix=fix) from None
    return Jpegs(path, images)


def _path(images: ShrunkImages) -> Path:
    reduced = "-reduced" if images.reduced else ""
    return cache_folder() / f"{images.images.fingerprint(labels=False)}-{images.side}px-q{QUALITY}{reduced}.jpegs.{FORMAT}"


def _is_whole(path: Path, count: int) -> bool:
    """Whether there is a file of so many images whose table is as it was written."""
    try:
        with path.open("rb") as file:
            file.seek(-_END.size - count * ROW.itemsize, os.SEEK_END)
            table, end = file.read(count * ROW.itemsize), _END.unpack(file.read())
    except (OSError, ValueError, struct.error):
        return False
    return end == (_MAGIC.ljust(16, b"\0"), count, zlib.crc32(table))


class _Unfinished:
    """A file that is being made."""

    def __init__(self, path: Path, images: ShrunkImages) -> None:
        self.path, self.images = path, images
        self.data, self.table = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.part.table")

    def finish(self, filler: Filler) -> None:
        """Encode the images that are not in it yet, and give it its name."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.data.open("a+b") as data, self.table.open("a+b") as table:
            done, end = self._kept(data, table)
            if done:
                filler.journal.say(f"going on with {self.data}: {done:,} of {len(self.images):,} images are there")
            for batch in self._encoded(filler, done):
                end = _append(data, table, batch, end)
                done += len(batch)
                self._go_on(filler, done, end)
            table.seek(0)
            rows = table.read()
            data.write(rows + _END.pack(_MAGIC, len(self.images), zlib.crc32(rows)))
            data.flush()
            os.fsync(data.fileno())
        self.data.replace(self.path)
        self.table.unlink()

    def _kept(self, data: IO[bytes], table: IO[bytes]) -> tuple[int, int]:
        """Cut both files to the whole batches that they hold; returns how many images those are, and where they end."""
        table.seek(0)
        rows = _written(table.read())
        size = data.seek(0, os.SEEK_END)
        done = int(np.searchsorted(rows["end"], size, side="right")) // BATCH * BATCH
        done = len(rows) if len(rows) == len(self.images) and rows["end"][-1] <= size else done
        while done and not _holds(data, rows[:done][-BATCH - 1 :], first=done <= BATCH):  # what was written last may be lost
            done = (done - 1) // BATCH * BATCH
        end = int(rows["end"][done - 1]) if done else 0
        table.truncate(done * ROW.itemsize)
        data.truncate(end)
        return done, end

    def _encoded(self, filler: Filler, done: int) -> Iterator[list[bytes]]:
        every = in_order(len(self.images), BATCH)
        left = every.part(range(-(-done // BATCH), len(every)))
        encoding = _Encoding(self.images, filler.skip)
        jpeg_decoder()
        yield from Loader(encoding, batch_sampler=left, num_workers=filler.num_workers, collate_fn=_as_is)

    def _go_on(self, filler: Filler, done: int, end: int) -> None:
        """Tell of the progress, and stop where a signal asks for it or the disk will not do."""
        total, free = len(self.images), shutil.disk_usage(self.path.parent).free
        if done <= BATCH:
            filler.journal.say(f"re-encoding {total:,} images into {self.path}: about {gib(end * total // done)}")
        left = end * total // done - end
        if left > free:
            raise DataError(
                f"the re-encoded images need about {gib(left)} more of disk below {self.path.parent}",
                seen=f"{gib(free)} free; {done:,} of {total:,} images are kept",
                fix="free some, set BENCH_CACHE to another disk, or use no cache; the same command goes on",
            )
        stop = interrupt.asked()
        if stop is not None:
            raise interrupt.Interrupted(stop, f"{done:,} of {total:,} images in {self.data}")
        filler.journal.step("encode", done, total)


def _written(table: bytes) -> np.ndarray:
    """Return the rows of a table up to the first that isn't there: zeros, where a machine stopped before the disk had them."""
    rows = np.frombuffer(table[: len(table) // ROW.itemsize * ROW.itemsize], ROW)
    there = np.flatnonzero(rows["checksum"])
    rows = rows[: there[-1] + 1 if len(there) else 0]
    falls = np.flatnonzero(np.diff(rows["end"], prepend=0) < 0)
    return rows[: falls[0]] if len(falls) else rows


def _append(data: IO[bytes], table: IO[bytes], batch: Sequence[bytes], end: int) -> int:
    """Write images, then their rows; returns where they end."""
    rows = np.zeros(len(batch), ROW)
    rows["end"] = end + np.cumsum([len(each) for each in batch])
    rows["checksum"] = [zlib.crc32(each) for each in batch]
    data.write(b"".join(batch))
    data.flush()
    table.write(rows.tobytes())
    table.flush()
    return int(rows["end"][-1])


def _holds(data: IO[bytes], rows: np.ndarray, *, first: bool) -> bool:
    """Whether a file has the bytes of these images; the row before them comes with them, unless they are the first."""
    starts = np.concatenate([[0], rows["end"][:-1]]) if first else rows["end"][:-1]
    wanted = rows if first else rows[1:]
    for start, (end, checksum) in zip(starts.tolist(), wanted.tolist(), strict=True):
        data.seek(start)
        if zlib.crc32(data.read(end - start)) != checksum:
            return False
    return True


class _Encoding(Dataset[list[bytes]]):
    """Encodes images, a batch at a time; one that can't be decoded is empty."""

    def __init__(self, images: ShrunkImages, skip: bool) -> None:
        self.images, self.skip = images, skip

    def __getitems__(self, positions: Sequence[Position]) -> list[bytes]:
        return [self._encoded(index) for _, index in positions]

    def _encoded(self, index: int) -> bytes:
        try:
            return encoded(self.images, index)
        except GoneError:
            raise
        except DataError:
            if not self.skip:
                raise
            return b""


def _as_is(batch: list[bytes]) -> list[bytes]:
    return batch
