"""The name that is there for a name as it is written: its case, blanks, slashes, composed letters and URL codes may differ."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from pretrain.core import access
from pretrain.core.errors import DataError

LONGEST = 250
"""Bytes of a file's name: file systems take 255, of which an ending needs some."""
RENAMED = "found under a name of another form"
"""Remark on what has a name that differs from the written one in form only."""
SHOWN = 3
"""Candidates that a message lists at most."""


def canonical(name: str) -> str:
    """Reduce a name, or a path below a folder, to the form that all its spellings share; a path from the root stays one."""
    try:
        plain = unquote(name, errors="strict")
    except UnicodeDecodeError:
        plain = name
    plain = plain.replace("\\", "/")
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).casefold())
    parts = [part.strip() for part in plain.split("/")]
    return "/" * plain.startswith("/") + "/".join(part for part in parts if part not in ("", "."))


def is_outside(name: str) -> bool:
    """Tell whether a path is of nothing below a folder: from the root, up, to a drive or another machine, or of no name."""
    plain = canonical(name)
    parts = plain.split("/")
    elsewhere = plain.startswith("/") or ".." in parts or plain[1:2] == ":" or "://" in name
    return elsewhere or "\0" in name or max(len(part.encode("utf-8", "replace")) for part in parts) > LONGEST


class Names:
    """Names that are there, to find others by."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def __len__(self) -> int:
        return len(self._names)

    def find(self, name: str) -> str | None:
        """Return the name itself if it is there, or else the one that differs from it in form only; None if there is none.

        Raises:
            DataError: If several differ from it in form only; lists them.
        """
        return name if name in self._names else _single(name, self._by_form.get(canonical(name), []))

    def near(self, name: str) -> str | None:
        """Return the one name that is equal but for its folder, or else but for folder and ending; None if there is none."""
        base = canonical(name).replace("=", "/").rpartition("/")[2]
        for alike in (self._by_base.get(base), self._by_stem.get(_stem(base))):
            if alike:
                return alike[0] if len(alike) == 1 else None
        return None

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        return _grouped((canonical(each), each) for each in sorted(self._names))

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        return _grouped((form.rpartition("/")[2], each) for form, names in self._by_form.items() for each in names)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped((_stem(base), each) for base, names in self._by_base.items() for each in names)


class Files:
    """The files below a folder by their paths there, listed folder by folder as they are asked for."""

    def __init__(self, folder: Path) -> None:
        """List nothing yet."""
        self.folder = folder
        self._listed: dict[str, dict[str, bool]] = {}
        self._all: Names | None = None

    def names(self) -> list[str]:
        """List the names of the files in the folder itself, sorted; links that lead nowhere are among them.

        Raises:
            DataError: If it can't be listed.
        """
        return sorted(name for name, is_folder in self._list("").items() if not is_folder)

    def find(self, name: str) -> str | None:
        """Return the path of the file that a name means, see `Names.find`; None if there is none.

        Raises:
            DataError: If several files differ from it in form only, or a folder can't be listed.
        """
        return name if self.is_folder(name) is False else self._everything().find(name)

    def near(self, name: str) -> str | None:
        """Return the path of the one file whose name is equal but for folder and ending, see `Names.near`."""
        return self._everything().near(name)

    def path(self, found: str) -> Path:
        """Return where a file is that was found.

        Raises:
            DataError: If it is a link that leads nowhere, or nothing that can be looked at.
        """
        path = self.folder / found
        if path.is_symlink():
            access.size(path)
        return path

    def is_folder(self, name: str) -> bool | None:
        """Tell whether what has exactly that path is a folder; None if nothing has. Only what is listed is asked for."""
        *above, base = name.split("/")
        at = ""
        for part in above:
            if not self._list(at).get(part):
                return None
            at = f"{at}{part}/"
        return self._list(at).get(base)

    def _list(self, at: str) -> dict[str, bool]:
        """List a folder below the folder: name → whether it is one, too."""
        if at not in self._listed:
            with access.reading(self.folder / at), os.scandir(self.folder / at) as entries:
                self._listed[at] = {
                    entry.name: os.path.isdir(entry) if entry.is_symlink() else entry.is_dir() for entry in entries
                }
        return self._listed[at]

    def _everything(self) -> Names:
        if self._all is None:
            self._all = Names(self._below(""))
        return self._all

    def _below(self, at: str) -> Iterator[str]:
        for name, is_folder in self._list(at).items():
            if not is_folder:
                yield f"{at}{name}"
            elif not (self.folder / at / name).is_symlink():  # a link could lead round in a circle
                yield from self._below(f"{at}{name}/")


def renamed_note(what: str, found: Mapping[str, str | None]) -> tuple[str, ...]:
    """Write a note on names that were found in another form, written name → name that is there; empty if there are none."""
    other = [f"{written!r}, which is {name!r}" for written, name in found.items() if name not in (None, written)]
    return (f"{len(other)} {what} {RENAMED}, the first is {other[0]}",) if other else ()


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups


def _single(name: str, found: list[str]) -> str | None:
    if len(found) > 1:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise DataError(
            f"{name!r} is not there, and several names differ from it in form only",
            seen=", ".join(map(repr, found[:SHOWN])) + more,
            allowed="one of them",
            fix="write the name as the file has it",
        )
    return found[0] if found else None
