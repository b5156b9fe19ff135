"""Text in other people's files: byte order marks, UTF-16, gzip under a plain name, and the likely name of another encoding."""

import codecs
import contextlib
import gzip
import io
import re
import shlex
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pretrain.core.access import reading
from pretrain.core.errors import BenchError, DataError

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
"""Byte order marks, and the codec that reads what follows without them."""
HEAD = 4
"""Bytes that tell an encoding."""
GZIP = b"\x1f\x8b"
ZIP = "a zip"
BINARY = {
    b"PK\3\4": ZIP,
    b"7z\xbc\xaf": "an archive of 7-Zip",
    b"Rar!": "an archive of RAR",
    GZIP: "an archive of gzip",
    b"\x28\xb5\x2f\xfd": "an archive of Zstandard",
    b"\x89PNG": "a PNG",
    b"\xff\xd8": "a JPEG",
}
"""How files begin that people take for text or for a zip, and what they are."""
ALLOWED = "UTF-8, or UTF-16 with a byte order mark"
DECLARABLE = re.compile(r"ascii|utf|iso8859|iso2022|cp|gb|hz|big5|euc|shift_jis|johab|koi8|mac|kz1048|ptcp|tis")
"""How Python names the encodings that a text may declare; others, such as punycode, are none of files."""


def escaped(name: str) -> str:
    """Write a file's name as lists and records have it: a byte that is no UTF-8 as `\\udcff`; every other name as it is."""
    return name.encode(errors="backslashreplace").decode()


def read(path: Path, most: int, kind: type[BenchError] = DataError) -> bytes:
    """Read the bytes of a small file, unpacked if they are gzip's.

    Raises:
        BenchError: Of that kind, if it can't be read, is no regular file (a device or a pipe may never end), or is larger
            than `most` bytes, packed or not.
    """
    with reading(path, kind):
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise OSError("not a file")
        with path.open("rb") as file:
            found = file.read(most + 1)
    if found.startswith(GZIP) and len(found) <= most:
        found = _unpacked(found, path, most, kind)
    if len(found) > most:
        raise kind(f"{path} is too large", seen=f"more than {most:,} bytes", allowed=f"at most {most:,}")
    return found


def read_text(path: Path, most: int, kind: type[BenchError] = DataError) -> str:
    """Read a small text file, as `read` and `decoded` do."""
    return decoded(read(path, most, kind), path, kind)


def decoded(data: bytes, path: Path, kind: type[BenchError] = DataError, declared: str | None = None) -> str:
    """Decode a text by its byte order mark, or else as declared, or else as UTF-8; line ends stay as they are.

    Raises:
        BenchError: Of that kind, if it is none of these; names the path, the likely encoding, and how to recode it.
    """
    found = encoding_of(data[:HEAD])
    for encoding in dict.fromkeys((_declared(declared, path, kind) if found == "utf-8" else found, found)):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as problem:
            error = problem
    raise undecodable(path, error, kind)


def _declared(name: str | None, path: Path, kind: type[BenchError]) -> str:
    """Return the codec for a declared encoding, whose declaration could be read as ASCII."""
    try:
        codec = codecs.lookup(name or "utf-8").name
    except LookupError:
        codec = ""
    if not DECLARABLE.match(codec):
        raise kind(f"{path} declares an unknown encoding", seen=repr(name), allowed=ALLOWED)
    if codec.startswith(("utf-16", "utf-32")):  # .NET's tools declare the encoding of their strings, and write UTF-8
        return "utf-8"
    return "gb18030" if codec.startswith("gb") else codec  # the largest of them, which contains the others


@contextlib.contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open a text file of any length, unpacked if it is gzip's.

    Raises:
        DataError: If it can't be opened; what reading it raises is the caller's.
    """
    with reading(path):
        file = path.open("rb")
    with file, gzip.GzipFile(fileobj=file) as unpacked:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        source = unpacked if packed else file
        head = source.read(HEAD)
        source.seek(0)
        with io.TextIOWrapper(source, encoding=encoding_of(head)) as text:
            yield text


def encoding_of(head: bytes) -> str:
    """Return the codec for a text that begins with these bytes."""
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    if len(head) >= 2 and not all(head[:2]) and any(head[:2]):  # the zero byte of an ASCII character in UTF-16
        return "utf-16-le" if head[0] else "utf-16-be"
    return "utf-8"


def binary_of(head: bytes) -> str | None:
    """Say what a file is, by its first bytes; None if that is no kind of `BINARY`."""
    return next((what for mark, what in BINARY.items() if head.startswith(mark)), None)


def undecodable(path: Path, error: UnicodeDecodeError, kind: type[BenchError] = DataError) -> BenchError:
    """Build the error for a text in another encoding, or for what is no text at all."""
    binary = binary_of(error.object)
    if binary is not None:
        return kind(
            f"can't read {path}: it is no text", seen=binary, allowed=ALLOWED, fix="unpack it, or put the text in its place"
        )
    found = likely(error.object[error.start :])
    seen = f"the byte {error.object[error.start]:#04x}, which is no {error.encoding}; likely {found}"
    fix = f"iconv -f {found} -t utf-8 {shlex.quote(str(path))} > recoded, and put that in its place"
    return kind(f"can't read {path}: it is in another encoding", seen=seen, allowed=ALLOWED, fix=fix)


def likely(data: bytes) -> str:
    """Name the likely encoding of a text that is no UTF-8, from its bytes outside ASCII."""
    runs = re.findall(rb"[\x80-\xff]+", data)
    if len(runs) > 1 and data.endswith(runs[-1]):  # its last character may be cut
        runs[-1] = runs[-1][: len(runs[-1]) // 2 * 2]
    try:
        # GB 2312 writes pairs of bytes, both from 0xa1 on; a Western text has single ones among its letters.
        if runs and all(len(run) % 2 == 0 for run in runs):
            b" ".join(runs).decode("gb2312")
            return "gbk"
    except UnicodeDecodeError:
        pass
    return "cp1252" if any(0x80 <= byte < 0xA0 for run in runs for byte in run) else "latin-1"


def _unpacked(packed: bytes, path: Path, most: int, kind: type[BenchError]) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            return file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        fix = "copy it again, or unpack it with gunzip"
        raise kind(f"can't unpack {path}, which is gzip's", seen=error, fix=fix) from None
