"""Pickles of numpy arrays, read without numpy's own unpickling and without running anything else.

A pickle names functions and calls them. Here the few names that numpy's pickles use stand for classes of ours that only keep
numbers; every other name is refused. numpy's own classes would not do: `numpy.ndarray` with the dtype of objects takes any
eight bytes for a pointer.
"""

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

PLAIN = re.compile(r"[<>|=]?[fiub][1248]")
"""Matches the dtypes of numbers and truth values."""


class RefusedError(Exception):
    """A pickle asked for something that is no array of numbers."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Dtype:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: str, *_: object) -> None:
        if not PLAIN.fullmatch(code):
            raise RefusedError(f"an array of dtype {code}")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order: of all that a dtype's state can say, numbers need no more."""
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands for `numpy.ndarray`."""

    def __init__(self, shape: tuple[int, ...] = (0,), code: str = "<f4", buffer: bytes | bytearray = b"") -> None:
        self.value = _decoded(buffer, _Dtype(code), shape)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, raw = state
        self.value = _decoded(raw, dtype, shape, "F" if by_columns else "C")


def _decoded(raw: bytes | bytearray | str, dtype: _Dtype, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    data = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2 wrote bytes as text
    array = np.frombuffer(data, dtype.value).reshape(shape, order="F" if order == "F" else "C")
    return array.astype(dtype.value.newbyteorder("="))


def _reconstruct(kind: type[_Array], shape: tuple[int, ...], code: object) -> _Array:
    """Stands for numpy's: an empty array, whose state follows."""
    return _Array()


def _frombuffer(raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.value = _decoded(raw, dtype, shape, order)
    return array


def _scalar(dtype: _Dtype, raw: bytes | str) -> Any:
    return _decoded(raw, dtype, ()).item()


def _encode(text: str, codec: str) -> bytes:
    """Stands for `_codecs.encode`, by which protocol 2 writes bytes."""
    return text.encode("latin1")


def _bytearray(content: bytes | str = b"", codec: str = "latin1") -> bytearray:
    """Stands for `bytearray`, which would make a number into as many bytes."""
    return bytearray(content, "latin1") if isinstance(content, str) else bytearray(bytes(memoryview(content)))


NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytearray"): _bytearray,
    ("__builtin__", "bytearray"): _bytearray,
    ("collections", "OrderedDict"): OrderedDict,
}
for _core in ("core", "_core"):  # numpy 1's name and numpy 2's
    NAMES[f"numpy.{_core}.multiarray", "_reconstruct"] = _reconstruct
    NAMES[f"numpy.{_core}.multiarray", "scalar"] = _scalar
    NAMES[f"numpy.{_core}.numeric", "_frombuffer"] = _frombuffer


class _Unpickler(pickle._Unpickler):
    """Knows the names above, and no other. Python's own: the one in C takes memory for as many values as a pickle claims."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in NAMES:
            raise RefusedError(f"{module}.{name}")
        return NAMES[module, name]


def load(path: Path) -> Any:
    """Read a pickle of arrays, numbers, text and containers of them.

    Raises:
        RefusedError: If it asks for anything else; nothing has been run.
    """
    # From memory, so that a length beyond the file's end takes no more of it than there is.
    return _plain(_Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load())


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inside) for inside in value]
    return value
