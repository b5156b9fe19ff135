"""The content of torch's files: of a zip, of a folder in which one was unpacked, and of the form before torch 1.6."""

import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch

from transfer.sources import storages
from transfer.sources.inert import Unpickler
from transfer.sources.storages import Storage

PICKLE = "data.pkl"
Content = tuple[Any, tuple[str, ...]]
"""What a pickle holds, and the names that stand-ins stood for."""


def from_zip(file: IO[bytes]) -> Content:
    """Read a zip of torch.save or TorchScript.

    Raises:
        RefusedError: If its pickle wants to run code.
        Exception: Whatever a broken file makes of Python's readers.
    """
    with zipfile.ZipFile(file) as archive:
        root = root_of(archive.namelist())
        assert root is not None
        return _from_members(lambda name: archive.read(root + name), set(archive.namelist()), root)


def root_of(names: list[str]) -> str | None:
    """Return what stands before `data.pkl` in the names of a zip's members; None where it has none."""
    roots = sorted((name.removesuffix(PICKLE) for name in names if f"/{name}".endswith(f"/{PICKLE}")), key=len)
    return roots[0] if roots else None


def from_folder(folder: Path) -> Content:
    """Read a folder that holds `data.pkl` and `data/`, unpacked from a zip of torch.save."""
    names = {f"data/{each.name}" for each in (folder / "data").glob("*")} | {each.name for each in folder.iterdir()}
    return _from_members(lambda name: (folder / name).read_bytes(), names, "")


def _from_members(read: Callable[[str], bytes], names: set[str], root: str) -> Content:
    if f"{root}byteorder" in names and read("byteorder").strip() == b"big":
        raise ValueError("numbers with their first byte first (byteorder big)")
    done: dict[str, Storage] = {}
    unpickler = Unpickler(BytesIO(read(PICKLE)), lambda pid: storages.from_members(pid, read, done))
    return unpickler.load(), unpickler.strangers


def from_before_zips(file: IO[bytes], size: int) -> Content:
    """Read a file of torch.save before 1.6: magic number, version, system, content, keys of storages, and their bytes.

    Args:
        file: At its beginning.
        size: Its bytes, which bound the storages.
    """
    for _ in range(3):
        Unpickler(file).load()
    done: dict[Any, Storage] = {}

    def storage(pid: tuple[Any, ...]) -> Any:
        word, kind, key, _, count, view = pid
        if word != "storage" or view is not None or not isinstance(key, str):
            raise ValueError(f"{key!r} is no storage of its own")
        if not isinstance(kind, torch.dtype):
            return None
        if key not in done:
            if _claimed(done) + storages.sized(kind, count) > size:
                raise ValueError(f"storages of more than the {size} bytes of the file")
            done[key] = Storage(kind, bytearray(storages.sized(kind, count)))
        return done[key]

    unpickler = Unpickler(file, storage)
    content = unpickler.load()
    for key in Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        if key not in done or count * done[key].kind.itemsize != len(done[key].raw):
            raise ValueError(f"storage {key!r} of {count} numbers, which nothing named")
        raw = file.read(len(done[key].raw))
        if len(raw) != len(done[key].raw):
            raise EOFError(f"the file ends in storage {key}")
        done[key].raw[:] = raw  # in place: tensors share it
    return content, unpickler.strangers


def _claimed(done: dict[Any, Storage]) -> int:
    """Return the bytes of all storages so far."""
    return sum(len(each.raw) for each in done.values())
