"""Large JSON files, an entry at a time: an object whose values are lists, such as COCO's annotation files.

NOTE: the standard library's decoder on a window of the text. ijson, the usual choice, reads a single list in a pass (COCO has
three, in any order), and builds an entry of any size before that can be refused.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from pretrain.core.errors import DataError
from transfer.datasets import Tell, shown

CHUNK = 2**20
"""Characters read at a time."""
LARGEST = 2**22
"""Characters of an entry at most, which bounds the window."""

Taker = Callable[[int, dict[str, Any]], None]
"""Takes an entry: its place in its list, counted from 0, and what it is."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_BEGUN = 2
"""Characters after a number that may still belong to it, such as `e-`."""


def read_lists(path: Path, takers: Mapping[str, Taker], tell: Tell) -> None:
    """Hand every entry of the lists named by `takers` to its taker, in the file's order, and pass over everything else.

    Args:
        path: The file.
        takers: Name of a list → what takes its entries; it may raise DataError.
        tell: What is told of a wrong entry.

    Raises:
        DataError: If it is not such a file, or lacks one of the lists; names the path and the place.
    """
    read: dict[str, int] = {}
    window = None
    try:
        with path.open(encoding="utf-8") as file:
            window = _Window(file)
            for _ in window.members("{}"):
                _read_list(window, path, takers, tell, read)
            window.end()
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"can't read {path} as JSON", seen=_reason(error, window, read)) from None
    for name in takers:
        if name not in read:
            raise DataError(f"{path} has no list {name!r}", allowed=f"the lists {', '.join(takers)}")


def _read_list(window: "_Window", path: Path, takers: Mapping[str, Taker], tell: Tell, read: dict[str, int]) -> None:
    """One member of the outermost object."""
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
    for place, _ in enumerate(window.members("[]")):
        entry = window.value()
        read[name] = place + 1
        if taker:
            _take(entry, taker, place, f"{name}[{place}] in {path}", tell)
    read.setdefault(name, 0)


def _take(entry: Any, taker: Taker, place: int, where: str, tell: Tell) -> None:
    try:
        if not isinstance(entry, dict):
            raise DataError(f"{where} is not an object", seen=shown(entry))
        taker(place, entry)
    except DataError as problem:
        tell(problem)


def _reason(error: Exception, window: "_Window | None", read: Mapping[str, int]) -> str:
    """What went wrong and where, in words."""
    if isinstance(error, OSError) or window is None:
        return str(error)
    where = f" after {list(read)[-1]}[{read[list(read)[-1]] - 1}]" if any(read.values()) else ""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {window.before + error.pos}{where}"
    return f"{'nested too deeply' if isinstance(error, RecursionError) else error}{where}"


class _Window:
    """The part of a text that is being decoded."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0
        self.before = 0
        """Characters of the file before the window."""

    def value(self) -> Any:
        """The next value, whole."""
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
        """Once before each member of a list or an object."""
        self.take(brackets[0])
        if self.peek() == brackets[1]:
            self.take(brackets[1])
            return
        while True:
            yield
            if self.take("," + brackets[1]) == brackets[1]:
                return

    def peek(self) -> str:
        """The next character that is no space, which stays; nothing at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None, "the pattern matches nothing, too"
            self._at = space.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def take(self, allowed: str) -> str:
        """The next character that is no space."""
        found = self.peek()
        if not found or found not in allowed:
            raise json.JSONDecodeError(f"Expecting {' or '.join(allowed)}", self._text, self._at)
        self._at += 1
        return found

    def end(self) -> None:
        """Nothing but space is left."""
        if self.peek():
            raise json.JSONDecodeError("Extra data", self._text, self._at)

    def _more(self) -> bool:
        """Read on, twice as far each time that this was not enough; False, and nothing moved, at the end of the file."""
        rest = self._text[self._at :]
        if len(rest) > LARGEST:
            raise ValueError(f"an entry of more than {LARGEST} characters")
        chunk = self._file.read(max(CHUNK, len(rest)))
        if not chunk:
            return False
        self.before += self._at
        self._text, self._at = rest + chunk, 0
        return True
