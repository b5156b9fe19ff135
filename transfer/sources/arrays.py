"""Arrays in pickles, read without numpy's own unpickling: what stands for the names that its pickles use.

numpy's own classes would not do: `numpy.ndarray` with the dtype of objects takes any eight bytes for a pointer.
"""

import re
from typing import Any

import numpy as np

PLAIN = re.compile(r"[<>|=]?[fiub][1248]")
"""Matches the dtypes of numbers and truth values."""


class RefusedError(Exception):
    """A pickle asked for something that runs code, or that nothing here stands for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Dtype:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: str = "", *_: object) -> None:
        self.code = str(code)[:20]
        self.value = np.dtype(code) if PLAIN.fullmatch(self.code) else None
        """None for what are no numbers: objects, text, dates."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order: of all that a dtype's state can say, numbers need no more."""
        if self.value is not None and state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class Array:
    """Stands for `numpy.ndarray`."""

    def __init__(self, shape: tuple[int, ...] = (0,), code: str = "<f4", buffer: bytes | bytearray = b"") -> None:
        if "O" in str(code):  # numpy's own pickles of objects give a list, and no bytes
            raise RefusedError(f"an array of dtype {code}")
        self.value = _decoded(buffer, Dtype(code), shape)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, raw = state
        self.value = _decoded(raw, dtype, shape, "F" if by_columns else "C")


def _decoded(raw: bytes | bytearray | str, dtype: Dtype, shape: tuple[int, ...], order: str = "C") -> Any:
    """Return an array of numbers; words in the place of any other, whose bytes are not looked at."""
    if dtype.value is None:
        return f"<an array of dtype {dtype.code}>"
    data = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2 wrote bytes as text
    array = np.frombuffer(data, dtype.value).reshape(shape, order="F" if order == "F" else "C")
    return array.astype(dtype.value.newbyteorder("="))


def _reconstruct(kind: type[Array], shape: tuple[int, ...], code: object) -> Array:
    """Stands for numpy's: an empty array, whose state follows."""
    return Array()


def _frombuffer(raw: bytes, dtype: Dtype, shape: tuple[int, ...], order: str) -> Array:
    array = Array()
    array.value = _decoded(raw, dtype, shape, order)
    return array


def _scalar(dtype: Dtype, raw: bytes | str) -> Any:
    return _decoded(raw, dtype, ()).item() if dtype.value is not None else f"<a scalar of dtype {dtype.code}>"


def _encode(text: str, codec: str) -> bytes:
    """Stands for `_codecs.encode`, by which protocol 2 writes bytes."""
    return text.encode("latin1")


def _bytearray(content: bytes | str = b"", codec: str = "latin1") -> bytearray:
    """Stands for `bytearray`, which would make a number into as many bytes."""
    return bytearray(content, "latin1") if isinstance(content, str) else bytearray(bytes(memoryview(content)))


NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Dtype,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytearray"): _bytearray,
    ("__builtin__", "bytearray"): _bytearray,
}
for _core in ("core", "_core"):  # numpy 1's name and numpy 2's
    NAMES[f"numpy.{_core}.multiarray", "_reconstruct"] = _reconstruct
    NAMES[f"numpy.{_core}.multiarray", "scalar"] = _scalar
    NAMES[f"numpy.{_core}.numeric", "_frombuffer"] = _frombuffer
