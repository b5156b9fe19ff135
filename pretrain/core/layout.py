"""What to say of a folder that is not in the layout that is read: what is wrong, what lies there instead, what to do."""

import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from pretrain.core.errors import DataError

SHOWN = 8
COMPARED = 10_000
"""Names of a folder that are compared with one that is not there."""
"""Names that a message lists at most."""
PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
"""Endings of archives."""
DEEP, HIGH = 4, 2
"""Levels below and above a folder at which its layout is looked for."""
MOST = 1000
"""Folders that are looked into for it."""


def wrong_layout(
    root: Path,
    *,
    layout: str,
    looked_for: str,
    first_wrong: Path,
    fix: str,
    folder: bool = True,
    fits: Callable[[Path], bool] | None = None,
    advice: Callable[[], str | None] | None = None,
) -> DataError:
    """Compose the message for a wrong layout: what was looked for, what was found, the first wrong path, what to do.

    Args:
        root: Folder of the data.
        layout: Name of the layout.
        looked_for: What it looks like.
        first_wrong: Path that is missing, or is not what it should be.
        fix: What to do, where nothing better is known.
        folder: Whether that path should be a folder; else a file.
        fits: Tells whether a folder has the layout: one that does is looked for above and below the root.
        advice: Called if nothing else helps: what to do with what lies there instead, or None.
    """
    wrong, remedy = amiss(first_wrong, folder=folder)
    if remedy is None and fits is not None and (other := near(root, fits)) is not None:
        remedy = f"pass --data {other}, which has this layout"
    if remedy is None and advice is not None:
        remedy = advice()
    if remedy is None and root.is_dir() and (packed := [name for name in names(root) if name.lower().endswith(PACKED)]):
        remedy = f"unpack {', '.join(packed[:SHOWN])} there, and give the command again"
    return DataError(
        f"{root} is not in the {layout} layout: {first_wrong} {wrong}",
        seen=_listed(root, first_wrong),
        allowed=looked_for,
        fix=remedy or fix,
    )


def amiss(path: Path, *, folder: bool) -> tuple[str, str | None]:
    """Say what is wrong with a path, and what to do if it isn't simply missing; `folder`: whether it should be one."""
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which is not there", "mount or restore what it leads to, or correct the link"
    if folder and path.is_file():
        return "is a file", f"put a folder in the place of the file {path}"
    if not folder and path.is_dir():
        inside = path / path.name
        there = f"move {inside} to its place" if inside.is_file() else f"put a file in the place of the folder {path}"
        return "is a folder, not a file", there
    return "is missing", None


def contents(folder: Path) -> str:
    """List the first names in a folder, those of folders with a slash at their end."""
    try:
        found = names(folder)
    except OSError as error:
        return f"{folder}, which can't be listed: {error.strerror}"
    return contents_of(found)


def contents_of(names: Sequence[str]) -> str:
    """List the first of the names that are in a folder."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "") or "an empty folder"


def names(folder: Path) -> list[str]:
    """Name what is in a folder, sorted, folders with a slash at their end."""
    with os.scandir(folder) as entries:
        return sorted(entry.name + "/" * entry.is_dir() for entry in entries)


def namesakes(path: Path) -> list[str]:
    """Name what lies in a path's folder under nearly the same name, the nearest first; nothing where it can't be read."""
    try:
        return difflib.get_close_matches(path.name, names(path.parent)[:COMPARED])
    except OSError:
        return []


def _listed(root: Path, path: Path) -> str:
    """List what is in the first folder above a path that is there."""
    if not root.exists():
        return "nothing: the folder does not exist"
    if root.is_file():
        return "a file"
    there = next(parent for parent in (*path.parents, root) if parent.is_dir())
    return contents(there) if there == root else f"in {there}: {contents(there)}"


def near(root: Path, fits: Callable[[Path], bool], *, above: bool = True, below: bool = True) -> Path | None:
    """Find a folder that fits, with `above` above the root first, with `below` below it; the nearest one."""
    parents = [parent for parent in root.absolute().parents[:HIGH] if parent != parent.parent] if above else []
    try:
        return next((folder for folder in chain(parents, _below(root) if below else ()) if fits(folder)), None)
    except OSError:
        return None


def _below(root: Path) -> Iterator[Path]:
    """Yield the folders below a folder, level by level."""
    level, left = [root], MOST
    for _ in range(DEEP):
        found: list[Path] = []
        for folder in level:
            if left <= 0 or not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
                continue
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
            found += [folder / name for name in names[:left]]
            left -= len(names)
        yield from found
        level = found
