"""A zip of class folders: its listing, and the bytes of a member by its index."""

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from pretrain.core.errors import DataError
from pretrain.core.layout import contents_of
from pretrain.core.texts import HEAD, ZIP, binary_of
from pretrain.images.stores import JUNK, LARGEST_IMAGE, UNLABELLED, Found, by_class, inner_folder, is_class, is_image
from pretrain.images.unread import Unread

_PRESENT = re.compile(r"^(?:\./+)+")
"""What some tools write before every name: this folder."""
LOCAL_HEADER = 30
"""Bytes of the fixed part of a member's local header (PKWARE's APPNOTE, 4.3.7)."""
LENGTHS = 26
"""Offset in that header of the lengths of the name and of the extra field, two bytes each."""

ROW = np.dtype([("head", np.int64), ("packed", np.int64), ("size", np.int64), ("checksum", np.uint32), ("deflated", bool)])
"""A member: offset of its local header, packed and unpacked bytes, CRC-32, and whether it is deflated."""


class Members:
    """Members of a zip, read by their index.

    A loader worker inherits or receives the table and needn't list the zip again, which takes seconds and a gigabyte for a
    million images. Reads need no lock, since no file position is shared.
    """

    def __init__(self, archive: Path, table: np.ndarray) -> None:
        """Use a table (N,) of `ROW`, as `of` makes it."""
        self.archive, self.table = archive, table
        self._descriptor: int | None = None

    @classmethod
    def of(cls, archive: Path, infos: Sequence[zipfile.ZipInfo]) -> Self:
        """Build the table from entries of the zip's directory."""
        rows = [(i.header_offset, i.compress_size, i.file_size, i.CRC, i.compress_type == zipfile.ZIP_DEFLATED) for i in infos]
        return cls(archive, np.array(rows, ROW))

    def __len__(self) -> int:
        return len(self.table)

    def part(self, indices: Sequence[int]) -> "Members":
        """Select members by their indices."""
        return Members(self.archive, self.table[np.asarray(indices, np.int64)])

    def sizes(self) -> Iterator[int]:
        """Yield the unpacked bytes of each member."""
        return iter(self.table["size"].tolist())

    def read(self, index: int) -> bytes:
        """Read the bytes of one member.

        Raises:
            OSError: If it can't be read, or its checksum is wrong.
            zlib.error: If it can't be unpacked.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self.archive, os.O_RDONLY)
        start, packed, size, checksum, deflated = self.table[index].item()
        head = os.pread(self._descriptor, LOCAL_HEADER, start)
        if len(head) < LOCAL_HEADER:
            raise OSError("the zip ends before it")
        start += LOCAL_HEADER + sum(struct.unpack_from("<HH", head, LENGTHS))
        data = os.pread(self._descriptor, packed, start)
        if deflated:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)  # a bomb unpacks to no more than it claims
        if len(data) != size or zlib.crc32(data) != checksum:
            raise OSError("its checksum in the zip differs")
        return data

    def source(self, index: int) -> Path:
        """Return the zip."""
        return self.archive

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_descriptor": None}  # invalid in a process that didn't inherit it

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Zip:
    """A zip of class folders."""

    source: Path
    """The zip."""
    inner: str
    """Folder inside the zip that all class folders are in, with a slash at its end; empty if none."""
    everything: dict[str, zipfile.ZipInfo]
    """`class folder/name` → entry of the zip's directory."""
    beside: int = 0
    """Images beside the class folders."""

    @cached_property
    def classes(self) -> list[str]:
        """Names of the class folders, sorted."""
        return sorted({name.split("/", 1)[0] for name in self.everything})

    def images(self, wanted: Collection[str]) -> Found:
        """List the images of some classes."""
        chosen, unread = set(wanted), Unread(beside=self.beside)
        files = [name for name in self.everything if name.split("/", 1)[0] in chosen]
        names = sorted((name for name in files if is_image(name)), key=by_class)
        unread.add(name for name in files if not is_image(name))
        return Found(names, Members.of(self.source, [self.everything[name] for name in names]), unread)


def find(root: Path, split: str) -> Zip | None:
    """Find the zip `root/split.zip` and read its directory.

    Raises:
        DataError: If it isn't a whole zip, or an image in it is packed in a way that can't be read.
    """
    archive = root / f"{split}.zip"
    if not archive.is_file():
        return None
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except Exception as error:  # BadZipFile, and what numbers out of range raise in Python's reader
        with archive.open("rb") as file:
            kind = binary_of(file.read(HEAD))
        seen, fix = (kind, "pack it as a zip") if kind not in (None, ZIP) else (error, "copy it again and compare its size")
        raise DataError(f"can't read the zip {archive}", seen=seen, fix=fix) from None
    for info in infos:
        if "/" not in info.filename:  # Windows' own programs wrote this separator for years
            info.filename = info.filename.replace("\\", "/")
        info.filename = _PRESENT.sub("", info.filename)
    infos = [info for info in infos if info.filename.split("/", 1)[0] not in JUNK]
    images = [info for info in infos if is_image(info.filename)]
    _require_plain(archive, images)
    inner = inner_folder([info.filename for info in images])
    below = {info.filename.removeprefix(inner): info for info in infos if info.filename.startswith(inner)}
    everything = {name: info for name, info in below.items() if "/" in name and is_class(name.split("/", 1)[0])}
    beside = {f"{UNLABELLED}/{info.filename}": info for info in images if "/" not in info.filename}
    if beside and not any(map(is_image, everything)):
        return Zip(archive, inner, beside)
    return Zip(archive, inner, everything, len(beside))


def contents(archive: Path, folder: str) -> str:
    """List the first names in a folder of a zip, or in the zip itself where that is empty."""
    with zipfile.ZipFile(archive) as opened:
        names = [_PRESENT.sub("", name) for name in opened.namelist()]
    below = (name.removeprefix(f"{folder}/") if folder else name for name in names if name.startswith(folder))
    return contents_of(sorted({name.split("/", 1)[0] + "/" * ("/" in name) for name in below if name}))


def _require_plain(archive: Path, images: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse an archive with duplicate images, or with an image that isn't a plain file or can't be read."""
    size, names = archive.stat().st_size, set[str]()
    for info in images:
        found = _defect(info, size) or ("the second of that name" if info.filename in names else None)
        if found is not None:
            raise DataError(
                f"can't read {info.filename!r} in the zip {archive}",
                seen=found,
                allowed=f"images below class folders, each once, stored or deflated, of at most {LARGEST_IMAGE:,} bytes",
                fix="pack it again",
            )
        names.add(info.filename)


def _defect(info: zipfile.ZipInfo, size: int) -> str | None:
    """Describe what is wrong with a member of an archive of `size` bytes; None if nothing is."""
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compression method {info.compress_type}"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.filename.startswith("/") or ".." in info.filename.split("/") or info.filename[1:2] == ":":
        return "a path that leads outside"
    if info.header_offset < 0 or info.header_offset + info.compress_size > size:
        return f"it would end at byte {info.header_offset + info.compress_size:,} of {size:,}"
    if info.file_size > LARGEST_IMAGE:
        return f"{info.file_size:,} bytes, unpacked"
    return None
