"""Large JSON files, read entry by entry: an object whose values are lists, such as COCO's annotation files.

NOTE: this runs the standard library's decoder on a window of the text. ijson, the usual choice, reads a single list per pass
(COCO has three, in any order), and builds an entry of any size before it can be refused.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from pretrain.core import texts
from pretrain.core.errors import DataError
from transfer.datasets import Tell, shown

CHUNK = 2**20
"""Characters read at once."""
SHOWN = 24
"""Characters of the text that a message shows."""
LARGEST = 2**22
"""Characters of an entry at most; bounds the window."""

Taker = Callable[[int, dict[str, Any]], None]
"""Called with an entry's index in its list, from 0, and the entry."""

UNREADABLE = (OSError, EOFError, zlib.error, ValueError, RecursionError)
"""What broken JSON, and broken gzip around it, raise."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_BEGUN = 2
"""Characters at the end of the window that may still belong to a number, such as `e-`."""


def read_lists(path: Path, takers: Mapping[str, Taker], tell: Tell) -> None:
    """Pass every entry of the lists named in `takers` to its taker, in the file's order; skip everything else.

    Args:
        path: The file.
        takers: Name of a list → function called with its entries; it may raise DataError.
        tell: Called with the error of a wrong entry.

    Raises:
        DataError: If it isn't such a file, or lacks one of the lists; names the path and the position.
    """
    read: dict[str, int] = {}
    window = None
    try:
        with texts.opened(path) as file:
            window = _Window(file)
            for _ in window.members("{}"):
                _read_list(window, path, takers, tell, read)
            window.end()
    except UnicodeDecodeError as error:
        raise texts.undecodable(path, error) from None
    except UNREADABLE as error:
        allowed = f"one object with the lists {', '.join(takers)}"
        raise DataError(f"can't read {path} as JSON", seen=_reason(error, window, read), allowed=allowed) from None
    for name in takers:
        if name not in read:
            raise DataError(f"{path} has no list {name!r}", allowed=f"the lists {', '.join(takers)}")


def _read_list(window: "_Window", path: Path, takers: Mapping[str, Taker], tell: Tell, read: dict[str, int]) -> None:
    """Read one member of the outermost object."""
    name = window.value()
    window.take(":")
    taker = takers.get(name) if isinstance(name, str) else None
    if window.peek() != "[":
        if taker:
            raise DataError(f"{path} has no list {name!r}", seen=shown(window.value()))
        window.value()
        return
    if name in read:
        raise DataError(f"{path} has the list {name!r} twice", fix="join the two")
    for index, _ in enumerate(window.members("[]")):
        entry = window.value()
        read[name] = index + 1
        if taker:
            _take(entry, taker, index, f"{name}[{index}] in {path}", tell)
    read.setdefault(name, 0)


def _take(entry: Any, taker: Taker, index: int, where: str, tell: Tell) -> None:
    try:
        if not isinstance(entry, dict):
            raise DataError(f"{where} is not an object", seen=shown(entry))
        taker(index, entry)
    except DataError as problem:
        tell(problem)


def _reason(error: Exception, window: "_Window | None", read: Mapping[str, int]) -> str:
    """Describe what went wrong and where."""
    if isinstance(error, (OSError, EOFError, zlib.error)) or window is None:
        return str(error)
    where = f" after {list(read)[-1]}[{read[list(read)[-1]] - 1}]" if any(read.values()) else ""
    if isinstance(error, json.JSONDecodeError):
        there = window.text_at(error.pos)
        seen = f"at character {window.before + error.pos}{where}, {shown(there)}" if there else f"where the file ends{where}"
        return f"{error.msg} {seen}" if there or window.before + error.pos else "an empty file"
    return f"{'nested too deeply' if isinstance(error, RecursionError) else error}{where}"


class _Window:
    """The part of a text that is being decoded, and a position in it."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0
        self.before = 0
        """Number of characters of the file before the window."""

    def value(self) -> Any:
        """Decode the next value.

        Raises:
            ValueError: If it isn't valid JSON, or too long.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
            else:
                if len(self._text) - end > _BEGUN or not self._more():
                    self._at = end
                    return value

    def members(self, brackets: str) -> Iterator[None]:
        """Yield once before each member of a list or an object, whose opening and closing characters are `brackets`."""
        self.take(brackets[0])
        if self.peek() == brackets[1]:
            self.take(brackets[1])
            return
        while True:
            yield
            if self.take("," + brackets[1]) == brackets[1]:
                return

    def peek(self) -> str:
        """Return the next character that isn't white space, without moving past it; empty at the end of the file."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None, "the pattern also matches the empty string"
            self._at = space.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def text_at(self, position: int) -> str:
        """Return the first characters at a position of the window."""
        return self._text[position : position + SHOWN].strip()

    def take(self, allowed: str) -> str:
        """Return the next character that isn't white space, and move past it.

        Raises:
            JSONDecodeError: If it isn't one of `allowed`.
        """
        found = self.peek()
        if not found or found not in allowed:
            raise json.JSONDecodeError(f"Expecting {' or '.join(allowed)}", self._text, self._at)
        self._at += 1
        return found

    def end(self) -> None:
        """Check that only white space is left.

        Raises:
            JSONDecodeError: If something else follows.
        """
        if self.peek():
            raise json.JSONDecodeError("Extra data", self._text, self._at)

    def _more(self) -> bool:
        """Extend the window, doubling what is left in it; False at the end of the file, where nothing changes."""
        rest = self._text[self._at :]
        if len(rest) > LARGEST:
            raise ValueError(f"an entry of more than {LARGEST} characters")
        chunk = self._file.read(max(CHUNK, len(rest)))
        if not chunk:
            return False
        self.before += self._at
        self._text, self._at = rest + chunk, 0
        return True
