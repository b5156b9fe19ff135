"""Names and numbers of millions of images without an object for each, which every loader process would copy as it reads it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, Self, overload

import numpy as np

AT_ONCE = 4096
"""Strings that a loop over them makes at a time."""
BLOCK = 2**20
"""Bytes that are looked at together."""


class Texts(Sequence[str]):
    """Strings in one array of bytes, each made when it is asked for. Equal to any sequence of the same strings."""

    def __init__(self, data: np.ndarray, ends: np.ndarray, chosen: np.ndarray | None = None, before: str = "") -> None:
        """Use an array of bytes, which may be mapped from a file.

        Args:
            data: (B,) uint8, all strings one after another, in UTF-8; bytes that are none stand for themselves.
            ends: (M,) int64, where each ends.
            chosen: (N,) which of them these are, in order; None: all.
            before: What every string begins with that is not in `data`.
        """
        self.data, self.ends, self._chosen, self.before = data, ends, chosen, before

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Pack strings."""
        data, sizes, waiting = bytearray(), [np.zeros(0, np.int64)], iter(texts)
        while part := [text.encode(errors="surrogateescape") for text in islice(waiting, AT_ONCE)]:
            sizes.append(np.fromiter(map(len, part), np.int64, len(part)))
            data += b"".join(part)
        return cls(np.frombuffer(data, np.uint8), np.cumsum(np.concatenate(sizes)))

    def __len__(self) -> int:
        return len(self.ends if self._chosen is None else self._chosen)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Texts": ...
    def __getitem__(self, index: int | slice) -> "str | Texts":
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            return self.between(first, last) if step == 1 and self._chosen is None else self.part(range(first, last, step))
        place = _place(index, len(self)) if self._chosen is None else int(self._chosen[index])
        start = int(self.ends[place - 1]) if place else 0
        return self.before + self.data[start : int(self.ends[place])].tobytes().decode(errors="surrogateescape")

    def __iter__(self) -> Iterator[str]:
        if self._chosen is not None:
            yield from (self[index] for index in range(len(self)))
            return
        for first in range(0, len(self), AT_ONCE):
            ends = self.ends[max(first - 1, 0) : first + AT_ONCE].tolist()
            ends = ends if first else [0, *ends]
            part, before, begin = self.data[ends[0] : ends[-1]].tobytes(), self.before, ends[0]
            if part.isascii():
                text = part.decode()
                yield from [before + text[start - begin : end - begin] for start, end in pairwise(ends)]
            else:
                escaped = "surrogateescape"
                yield from [before + part[start - begin : end - begin].decode(errors=escaped) for start, end in pairwise(ends)]

    def part(self, indices: Sequence[int]) -> "Texts":
        """Select strings by their indices."""
        chosen = np.asarray(indices, np.int64)
        return Texts(self.data, self.ends, chosen if self._chosen is None else self._chosen[chosen], self.before)

    def are_lines(self) -> bool:
        """Return whether none has a line break, so that a list with one of them on each line can hold them.

        NOTE: takes strings that end in ASCII, as names of images do: a character can't begin in one and end in the next.
        """
        first = 0
        while first < len(self.ends):
            start = int(self.ends[first - 1]) if first else 0
            first = max(int(np.searchsorted(self.ends, start + BLOCK, side="right")), first + 1)
            text = self.data[start : int(self.ends[first - 1])].tobytes().decode(errors="surrogateescape")
            if len(text.splitlines()) > 1:
                return False
        return True

    def between(self, first: int, last: int) -> "Texts":
        """Return the strings from `first` on, up to but without `last`, of one that has them all in order."""
        assert self._chosen is None
        start = int(self.ends[first - 1]) if first else 0
        ends = self.ends[first:last]
        return Texts(self.data[start : int(ends[-1]) if len(ends) else start], ends - start, None, self.before)

    def beginning(self, before: str) -> "Texts":
        """Return the same strings, each with a text before it."""
        return Texts(self.data, self.ends, self._chosen, before + self.before)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash((len(self), *self[:1], *self[-1:]))

    def __repr__(self) -> str:
        return f"Texts({[*self[:3]]}{', …' if len(self) > 3 else ''})"


class Numbers(Sequence[int]):
    """Whole numbers in an array. Equal to any sequence of the same numbers."""

    def __init__(self, values: Any) -> None:
        """Use an array (N,), or pack a sequence."""
        self.values = np.asarray(values, None if isinstance(values, np.ndarray) else np.int64)

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> "Numbers": ...
    def __getitem__(self, index: int | slice) -> "int | Numbers":
        return Numbers(self.values[index]) if isinstance(index, slice) else int(self.values[index])

    def __iter__(self) -> Iterator[int]:
        for first in range(0, len(self), AT_ONCE):
            yield from self.values[first : first + AT_ONCE].tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype, copy=copy)

    def part(self, indices: Sequence[int]) -> "Numbers":
        """Select numbers by their indices."""
        return Numbers(self.values[np.asarray(indices, np.int64)])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and bool(np.array_equal(self.values, np.asarray(other)))

    def __hash__(self) -> int:
        return hash((len(self), *self[:1], *self[-1:]))

    def __repr__(self) -> str:
        return f"Numbers({self.values[:3].tolist()}{', …' if len(self) > 3 else ''})"


def _place(index: int, count: int) -> int:
    if not -count <= index < count:
        raise IndexError(index)
    return index % count
