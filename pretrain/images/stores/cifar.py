"""CIFAR-10 and CIFAR-100 as they are published: pickles, of which only data is read, and the binary version."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pretrain.core import pickled
from pretrain.core.errors import DataError
from pretrain.core.settings import text_lines
from pretrain.images.stores import listed, pixels

SIDE = 32
BYTES = 3 * SIDE * SIDE
"""Of an image: all of red, then green, then blue."""
LARGEST = 2**30
"""Bytes of a file that are read."""
TEN = {"train": [f"data_batch_{number}" for number in range(1, 6)], "val": ["test_batch"]}
HUNDRED = {"train": ["train"], "val": ["test"]}
"""Files of each split, without their ending."""


class Kind(NamedTuple):
    """One of the four ways in which CIFAR is published."""

    files: dict[str, list[str]]
    ending: str
    names: str
    """File of the classes' names."""
    label: str
    """Key of the labels in a pickle, and of their names; in binary files, how many bytes stand before the pixels."""
    title: str


KINDS: tuple[Kind, ...] = (
    Kind(TEN, "", "batches.meta", "labels", "label_names"),
    Kind(TEN, ".bin", "batches.meta.txt", "1", ""),
    Kind(HUNDRED, "", "meta", "fine_labels", "fine_label_names"),
    Kind(HUNDRED, ".bin", "fine_label_names.txt", "2", ""),
)


def find(root: Path, split: str) -> listed.Listed | None:
    """Find CIFAR in a folder, or in the only one of its folders that has it.

    Raises:
        DataError: If a file is missing or can't be read, or asks for more than data.
    """
    for kind in KINDS:
        folder = pixels.place(root, lambda folder, kind=kind: _holds(folder, kind))  # type: ignore[misc]
        if folder is not None and split in kind.files:
            return _read(folder, kind, split)
    return None


def _holds(folder: Path, kind: Kind) -> bool:
    first = [folder / f"{names[0]}{kind.ending}" for names in kind.files.values()]
    return (folder / kind.names).is_file() and all(file.is_file() for file in first)


def _read(folder: Path, kind: Kind, split: str) -> listed.Listed:
    files = [folder / f"{name}{kind.ending}" for name in kind.files[split]]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise DataError(f"{folder} lacks a part of CIFAR", seen=f"missing: {', '.join(missing)}", fix="unpack it again")
    read: Callable[[Path, Kind], tuple[np.ndarray, list[int]]] = _binary if kind.ending else _batch
    parts = [pixels.reading(file, lambda file=file: read(file, kind)) for file in files]  # type: ignore[misc]
    data = np.concatenate([data for data, _ in parts])
    source = files[0] if len(files) == 1 else folder
    names = pixels.reading(folder / kind.names, lambda: _names(folder / kind.names, kind))
    planes = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return pixels.store(source, np.ascontiguousarray(planes), [label for _, labels in parts for label in labels], names)


def _names(file: Path, kind: Kind) -> list[str]:
    if kind.ending:
        return [line for line in text_lines(file) if line]
    found = unpickled(file).get(kind.title)
    names = [_text(name) for name in found] if isinstance(found, list) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{file} names no classes", allowed=f"{kind.title}, a list of names", fix="unpack CIFAR again")
    return names


def _batch(file: Path, kind: Kind) -> tuple[np.ndarray, list[int]]:
    found = unpickled(file)
    data, labels = found.get("data"), found.get(kind.label)
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    whole = isinstance(labels, list) and all(type(label) is int for label in labels)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (BYTES,) or not whole:
        seen = ", ".join(map(str, found))[:200] or "nothing"
        raise DataError(f"{file} is no batch of CIFAR", seen=seen, allowed=f"data (images, {BYTES}) and {kind.label}")
    return data, list(labels or ())


def _binary(file: Path, kind: Kind) -> tuple[np.ndarray, list[int]]:
    before = int(kind.label)
    size = file.stat().st_size
    if size == 0 or size % (before + BYTES):
        seen, allowed = f"{size:,} bytes", f"a multiple of {before + BYTES:,}"
        raise DataError(f"{file} is no batch of CIFAR", seen=seen, allowed=allowed, fix="download it again")
    rows = np.fromfile(file, np.uint8).reshape(-1, before + BYTES)
    return rows[:, before:], rows[:, before - 1].tolist()


def unpickled(file: Path) -> dict[Any, Any]:
    """Read a pickle of data alone: nothing that it names is run.

    Raises:
        DataError: If it is too large, or holds no mapping.
        RefusedError: If it asks for more than arrays.
    """
    if file.stat().st_size > LARGEST:
        raise DataError(f"{file} is too large for a batch of CIFAR", seen=f"{file.stat().st_size:,} bytes")
    try:
        found = pickled.opened(pickled.Plain(BytesIO(file.read_bytes())).load())
    except pickled.RefusedError as refused:
        raise DataError(
            f"{file} asks for more than data, and did not get it",
            seen=f"its pickle asks for {refused.name}",
            allowed="numbers, text, lists and arrays",
            fix="get it from where CIFAR is published",
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"{file} is no batch of CIFAR", seen=type(found).__name__, allowed="a mapping")
    return {_text(key): value for key, value in found.items()}


def _text(value: Any) -> Any:
    """Return bytes as the text that they were in Python 2; anything else as it is."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
