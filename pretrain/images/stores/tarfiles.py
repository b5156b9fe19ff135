"""Listing a tar's files, and reading bytes of them: only whole, plain tars."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from pretrain.core.errors import DataError
from pretrain.images.stores import LARGEST_IMAGE, is_image

MAGIC = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
"""How compressed files begin."""
BLOCK = tarfile.BLOCKSIZE
PADDING = 2**20
"""Zeros after the end of a tar at most; GNU's tar pads to 10 KiB."""


class Member(NamedTuple):
    """A file in a tar."""

    name: str
    """Its path, without `./` before it."""
    start: int
    """Where its bytes begin."""
    size: int
    """Bytes."""


class _Info(tarfile.TarInfo):
    """A member, whose header is read in a fraction of the time if it is of a plain file: a set has millions of them."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header: the name, the size and the checksum where nothing is unusual, else all of it."""
        name, size, checksum = bytes(buf[:100]).partition(b"\0")[0], bytes(buf[124:135]), bytes(buf[148:154])
        usual = len(buf) == BLOCK and buf[156:157] == tarfile.REGTYPE and not buf[345] and not name.endswith(b"/")
        if not (usual and name.isascii() and size.isdigit() and checksum.isdigit() and buf[135] in b"\0 "):
            return super().frombuf(buf, encoding, errors)
        if 256 + sum(buf[:148]) + sum(buf[156:]) != int(checksum, 8):
            return super().frombuf(buf, encoding, errors)
        info = cls(name.decode("ascii"))
        info.size = int(size, 8)
        return info


def read(file: Path, start: int, size: int) -> bytes:
    """Read bytes of a tar.

    Raises:
        OSError: If they can't be read, or the tar ends before them.
    """
    descriptor = os.open(file, os.O_RDONLY)
    try:
        data = os.pread(descriptor, size, start)
    finally:
        os.close(descriptor)
    if len(data) != size:
        raise OSError("the tar ends before its last byte")
    return data


def scan(file: Path) -> Iterator[Member]:
    """List the plain files of a tar, with their places.

    Raises:
        DataError: If it isn't a whole tar, or an image in it is a link, leads outside or is too large.
    """
    size = file.stat().st_size
    with _opened(file) as opened:
        after = -1
        while (info := _next(opened, file)) is not None:
            opened.members = []  # type: ignore[attr-defined]  # else it keeps them all
            if info.offset <= after:
                raise _damaged(file, f"a header that leads back to byte {info.offset:,}")
            after = info.offset
            found = _defect(info, size)
            if found is not None:
                raise DataError(
                    f"can't read {info.name!r} in the tar {file}",
                    seen=found,
                    allowed=f"plain files, each below the tar's own folder, of at most {LARGEST_IMAGE:,} bytes",
                    fix="copy it again and compare its size, or pack it again",
                )
            if info.isreg():
                yield Member(info.name.removeprefix("./"), info.offset_data, info.size)
        _require_end(file, opened.offset, size)


def _opened(file: Path) -> tarfile.TarFile:
    """Open a tar.

    Raises:
        DataError: If it isn't one.
    """
    try:
        with file.open("rb") as raw:
            start = raw.read(6)
        command = next((command for magic, command in MAGIC.items() if start.startswith(magic)), None)
        if command is not None:
            raise compressed(file, command)
        return tarfile.open(file, "r:", tarinfo=_Info)
    except (tarfile.TarError, OSError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise _damaged(file, error) from None


def _next(opened: tarfile.TarFile, file: Path) -> tarfile.TarInfo | None:
    try:
        return opened.next()
    except Exception as error:  # ReadError, and what numbers out of range raise in Python's reader
        raise _damaged(file, error) from None


def _defect(info: tarfile.TarInfo, size: int) -> str | None:
    """Describe what is wrong with a member of a tar of `size` bytes; None if nothing is."""
    if info.name.startswith("/") or ".." in info.name.split("/"):
        return "a path that leads outside"
    if info.issym() or info.islnk():
        return "a link" if is_image(info.name) else None
    if info.issparse():
        return "a file with holes"
    if info.size < 0 or info.offset_data < 0 or info.offset_data + info.size > size:
        return f"it would end at byte {info.offset_data + info.size:,} of {size:,}"
    return f"{info.size:,} bytes" if info.size > LARGEST_IMAGE and is_image(info.name) else None


def _require_end(file: Path, end: int, size: int) -> None:
    """Refuse a tar that ends otherwise than with zeros: Python's reader takes a broken header for its end.

    Raises:
        DataError: If it was cut, is damaged, or goes on after its end.
    """
    if not 0 <= end < size:
        zeros = f"if you know that it is whole, end it: head -c {2 * BLOCK} /dev/zero >> {file}"
        raise _damaged(file, "no zeros at its end: it was cut between two files, or never closed", zeros)
    if any(read(file, end, min(BLOCK, size - end))):
        raise _damaged(file, f"no header at byte {end:,}")
    if size - end > PADDING or any(read(file, end, size - end)):
        raise _damaged(file, f"more after its end at byte {end:,}", "it is several tars in one: join them by tar --concatenate")


def _damaged(file: Path, seen: object, fix: str = "copy it again and compare its size") -> DataError:
    return DataError(f"can't read the tar {file}", seen=seen, fix=fix)


def compressed(file: Path, command: str) -> DataError:
    return DataError(
        f"the tar {file} is compressed, and can only be read from its start",
        seen=f"what {command} unpacks",
        allowed="a plain .tar, whose images are read at random",
        fix=f"unpack it: {command} {file}" + ("" if file.name.endswith(("z", "2", "4", "st")) else " (rename it first)"),
    )
