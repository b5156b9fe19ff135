"""MNIST and its kin: files `…images-idx3-ubyte` and `…labels-idx1-ubyte`, also with gzip."""

import gzip
import re
from pathlib import Path

import numpy as np

from pretrain.core.errors import DataError
from pretrain.images.stores import listed, pixels

FILE = re.compile(r"(?P<set>.*?)(?P<split>train|t10k|test)[-._](?P<kind>images|labels)[-._]idx[13][-._]ubyte(?:\.gz)?", re.I)
"""Matches names: what stands before them tells several sets apart (`emnist-letters-train-images-idx3-ubyte`)."""
SPLITS = {"train": ("train",), "val": ("t10k", "test")}
BYTES = 8
"""The header's code of unsigned bytes."""
TURNED = "emnist"
"""Sets whose images lie on their side, rows and columns exchanged."""


def find(root: Path, split: str) -> listed.Listed | None:
    """Find such files in a folder, or in the only one of its folders that has some.

    Raises:
        DataError: If there are several sets, one of two files is missing, or they can't be read.
    """
    folder = pixels.place(root, _files)
    if folder is None:
        return None
    every = _files(folder)
    sets = sorted({match["set"] for match in every})
    if len(sets) > 1:
        raise DataError(
            f"{folder} holds several sets",
            seen=", ".join(sets),
            allowed="one",
            fix="link the files of one into a folder of its own",
        )
    own = {match["kind"].lower(): folder / match.string for match in every if match["split"].lower() in SPLITS.get(split, ())}
    if not own:
        return None
    if len(own) < 2:
        raise DataError(
            f"{folder} lacks a file of {split}", seen=", ".join(path.name for path in own.values()), fix="download it"
        )
    images, labels = (pixels.reading(own[kind], lambda kind=kind: read(own[kind])) for kind in ("images", "labels"))  # type: ignore[misc]
    if images.ndim != 3 or labels.ndim != 1:
        raise DataError(f"{own['images']} is no set of images", seen=f"shapes {images.shape} and {labels.shape}")
    if TURNED not in sets[0].lower():
        return pixels.store(own["images"], images, labels.tolist(), None)
    remark = "EMNIST's images were turned: its files have rows and columns exchanged"
    return pixels.store(own["images"], np.ascontiguousarray(images.transpose(0, 2, 1)), labels.tolist(), None, remark)


def _files(folder: Path) -> list[re.Match[str]]:
    found = (FILE.fullmatch(name) for name in pixels.entries(folder))
    return [match for match in found if match and (folder / match.string).is_file()]


def read(file: Path) -> np.ndarray:
    """Read an array of bytes: two zeros, a code of the type, the number of axes, their lengths (4 bytes each), the values.

    Raises:
        DataError: If it is none, too short or too long, or of other types.
    """
    with file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(file) if packed else file.open("rb") as opened:
        start = opened.read(4)
        axes = start[3] if len(start) == 4 else 0
        if start[:3] != bytes((0, 0, BYTES)) or axes not in (1, 3):
            allowed = "0, 0, 8 and the number of axes: unsigned bytes"
            raise DataError(f"{file} is no idx file of bytes", seen=f"it begins with {start!r}", allowed=allowed)
        shape = tuple(int(each) for each in np.frombuffer(opened.read(4 * axes), ">u4"))
        size = int(np.prod(shape, dtype=object)) if len(shape) == axes else 0
        pixels.require_room(file, size)
        content = opened.read(size + 1)
    if len(content) != size or not size:
        raise DataError(
            f"{file} is not whole", seen=f"{len(content):,} bytes or more of {size:,}, shape {shape}", fix="download it again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
