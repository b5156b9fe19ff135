"""Arrays in pickles, read without numpy's own unpickling: what stands for the names that its pickles use.

numpy's own classes would not do: `numpy.ndarray` with the dtype of objects takes any eight bytes for a pointer.
"""

import pickle
import re
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar

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


DEEPEST = 5
"""Tuples inside each other: Python hashes them by recursion, without a limit, and deep ones end the process."""


class Unpickler(pickle._Unpickler):
    """Reads containers, numbers, text and arrays, and calls nothing but functions of ours. Python's own: the one in C takes
    memory for as many values as a pickle claims."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    names: ClassVar[Mapping[tuple[str, str], Any]] = NAMES
    """What stands for the names that it knows."""
    built: ClassVar[tuple[type[Any], ...]] = (Array, Dtype)
    """What may be given a state."""
    stack: list[Any]
    append: Callable[[Any], None]

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")  # Python 2 wrote bytes as text

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name.

        Raises:
            RefusedError: If nothing does.
        """
        if (module, name) not in self.names:
            raise RefusedError(f"{module}.{name}")
        return self.names[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse what lies outside the pickle."""
        raise RefusedError("something outside the pickle")

    def get_extension(self, code: int) -> None:
        """Refuse numbers that a program has registered for names."""
        raise RefusedError(f"extension {code}")

    def call(self, function: Any, given: Any) -> Any:
        """Make what a pickle calls for.

        Raises:
            RefusedError: If it calls anything but a function of ours.
        """
        if not any(function is each for each in self.names.values()):
            raise RefusedError(f"a call of {type(function).__name__}")
        return function(*given)

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(self.call(klass, args))

    def load_build(self) -> None:
        """Give a state to a value of ours; to anything else, which has taken what it keeps, give nothing."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], self.built):
            self.stack[-1].__setstate__(state)

    def load_reduce(self) -> None:
        """Call a function."""
        given = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], given)

    def load_newobj(self) -> None:
        """Make an object."""
        self.load_reduce()

    def load_newobj_ex(self) -> None:
        """Make an object with named arguments, which nothing of ours takes."""
        self.stack.pop()
        self.load_reduce()

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex


def _shallow(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Make what loads a tuple refuse one that is nested deep."""

    def loaded(self: Any) -> None:
        load(self)
        if _depth(self.stack[-1]) > DEEPEST:
            raise RefusedError("tuples inside each other")

    return loaded


_TUPLES = (pickle.TUPLE[0], pickle.TUPLE1[0], pickle.TUPLE2[0], pickle.TUPLE3[0])


class Plain(Unpickler):
    """Reads data alone: what is nested deep is refused."""

    dispatch: ClassVar[dict[int, Any]] = {
        code: _shallow(load) if code in _TUPLES else load for code, load in Unpickler.dispatch.items()
    }


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, tuple) else 0


def opened(value: Any) -> Any:
    """Return a value with the arrays in it, one level down, as numpy's."""
    if isinstance(value, dict):
        return {key: each.value if isinstance(each, Array) else each for key, each in value.items()}
    return value.value if isinstance(value, Array) else value
