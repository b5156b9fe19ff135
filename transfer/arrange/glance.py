"""A look at a folder that costs little however large it is: what recognisers ask."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice
from pathlib import Path

MOST = 5000
"""Entries of a folder that are looked at."""
FOLDERS = 300
"""Folders that are listed, at most."""
FEW = 8
"""Files of a pattern that are looked at, where the first one may be of another kind."""
HEAD = 2**16
"""Bytes of a file that are looked at."""
JUNK = ("__MACOSX",)
"""Folders that archivers add."""


class Glance:
    """The first entries of a folder and of those below it, listed when asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries = cache(self._listed)
        self._left = FOLDERS

    def folders(self, below: str = "") -> list[str]:
        """Name the folders in a folder, sorted; hidden ones are passed over."""
        return [name for name, is_folder in self._entries(below) if is_folder]

    def first(self, *patterns: str) -> str | None:
        """Return the path below the root of the first file or folder that fits a pattern, such as `*/ann/*.json`."""
        return next((found for pattern in patterns for found in self._fitting("", pattern.split("/"))), None)

    def heads(self, *patterns: str, whole: bool = True) -> Iterator[tuple[str, str]]:
        """Yield the paths of the first files that fit a pattern, a few of each, and the whole lines that they begin with.

        Not `whole`: the last one may be a part, as of JSON without line breaks.
        """
        for pattern in patterns:
            for path in islice(self._fitting("", pattern.split("/")), FEW):
                text = beginning(self.root / path)
                yield path, text.rpartition("\n")[0] if whole and text and os.path.getsize(self.root / path) > HEAD else text

    def has(self, *patterns: str) -> bool:
        """Tell whether there is such a file or folder, for one of the patterns."""
        return self.first(*patterns) is not None

    def head(self, *patterns: str, bytes_: int = HEAD) -> str:
        """Return the beginning of the first such file; empty if there is none."""
        found = self.first(*patterns)
        return "" if found is None else beginning(self.root / found, bytes_)

    def _fitting(self, below: str, pattern: list[str]) -> Iterator[str]:
        wanted, *rest = pattern
        for name, is_folder in self._entries(below):
            if not fnmatchcase(name.lower(), wanted.lower()) or (rest and not is_folder):
                continue
            path = f"{below}/{name}" if below else name
            if rest:
                yield from self._fitting(path, rest)
            else:
                yield path

    def _listed(self, below: str) -> list[tuple[str, bool]]:
        if not self._left:
            return []
        self._left -= 1
        try:
            with os.scandir(self.root / below) as entries:
                seen = [(entry.name, entry.is_dir()) for entry in islice(entries, MOST)]
        except OSError:
            return []
        return sorted((name, is_folder) for name, is_folder in seen if not name.startswith(".") and name not in JUNK)


def beginning(path: Path, most: int = HEAD) -> str:
    """Return the text that a file begins with; empty if it can't be read."""
    try:
        if not path.is_file():  # a named pipe would wait for ever
            return ""
        with path.open("rb") as file:
            text = file.read(most).replace(b"\0", b"").decode("utf-8", "replace")
            return text.lstrip("\ufeff\ufffd")  # byte order marks, those of UTF-16 as they come out
    except OSError:
        return ""
