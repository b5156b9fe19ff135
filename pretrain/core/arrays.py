"""Named arrays in one file, mapped into memory by all processes that read it; written whole or not at all."""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pretrain.core.atomic import replacing

ALIGNED = 64
"""Arrays begin at multiples of this many bytes."""
SIZES = 22
"""Bytes of the first line: checksum and length of the second."""
LONGEST_HEAD = 2**28
"""Bytes of the second line at most."""
BLOCK = 2**20
"""Bytes that are read at a time."""


class Arrays(NamedTuple):
    """What a file holds."""

    head: dict[str, Any]
    """Plain JSON values."""
    arrays: dict[str, np.ndarray]
    """Name → array, read only."""


def write(path: Path, head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write plain values and arrays to a file: two lines that describe them, then the arrays' bytes.

    Raises:
        StorageError: If the disk is full or the folder can't be written to.
    """
    described: dict[str, tuple[Any, list[int], int, int]] = {}
    place = 0
    for name, array in arrays.items():
        place = -(-place // ALIGNED) * ALIGNED
        dtype = array.dtype.descr if array.dtype.names else array.dtype.str
        described[name] = (dtype, list(array.shape), place, zlib.crc32(_bytes(array)))
        place += array.nbytes
    line = json.dumps({"head": head, "arrays": described}).encode()
    line += b" " * (-(SIZES + len(line)) % ALIGNED)
    with replacing(path) as file:
        file.write(b"%010d %010d\n" % (zlib.crc32(line), len(line)) + line)
        begin = file.tell()
        for name, array in arrays.items():
            file.seek(begin + described[name][2])
            file.write(_bytes(array))


def opened(path: Path) -> Arrays | None:
    """Open such a file; None if there is none, or it isn't as it was written."""
    try:
        with path.open("rb") as file:
            checksum, length = map(int, file.readline(SIZES).split())
            line = file.read(min(length, LONGEST_HEAD))
            if zlib.crc32(line) != checksum:
                return None
            begin, content = file.tell(), json.loads(line)
            arrays = {}
            for name, (kind, shape, place, expected) in content["arrays"].items():
                dtype = np.dtype([tuple(each) for each in kind] if isinstance(kind, list) else kind)
                if _checksum(file, begin + place, math.prod(shape) * dtype.itemsize) != expected:
                    return None
                empty = not math.prod(shape)
                mapped = np.empty(shape, dtype) if empty else np.memmap(path, dtype, "r", begin + place, tuple(shape))
                arrays[name] = np.asarray(mapped)  # a memmap's own indexing is slow
        return Arrays(content["head"], arrays)
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _checksum(file: Any, start: int, size: int) -> int:
    """Compute the checksum of a part of a file, without mapping it; -1 if the file ends before it."""
    file.seek(start)
    checksum, left = 0, size
    while left and (block := file.read(min(BLOCK, left))):
        checksum, left = zlib.crc32(block, checksum), left - len(block)
    return -1 if left else checksum


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
