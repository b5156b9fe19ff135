"""Gather the records below folders of runs, and what could not be read."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pretrain.core.errors import RecordError
from transfer import record
from transfer.board.entries import Conflict, Entry

ALLOWED = "a folder with a result.json anywhere below it"
RESULT = "result.json"
Stamps = tuple[tuple[str, int, int], ...]
SHOWN = 5
"""Broken records named in the error where no record is good."""


@dataclass(frozen=True)
class Problem:
    """Something that was left out of the report."""

    path: Path
    """The record or folder."""
    message: str
    """Why, in the error's own words, path included."""

    @classmethod
    def conflict(cls, conflict: Conflict) -> Self:
        """Make a problem of the older of two records of one identity that disagree."""
        new, old = conflict.kept.record.metrics, conflict.dropped.record.metrics
        pairs = [f"{name} {_number(old.get(name))}, newer {_number(new.get(name))}" for name in conflict.metrics]
        path = conflict.dropped.path
        return cls(
            path,
            f"{path} disagrees with a newer record of the same run\n"
            f"  seen:    {'; '.join(pairs)}\n"
            f"  newer:   {conflict.kept.path}, which is kept\n"
            f"  do:      find out which is right and remove the other",
        )


def gather(folders: Sequence[Path]) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Read the records below some folders; a problem for each broken one and each folder without any.

    Raises:
        RecordError: If no record is good.
    """
    entries, problems = read(folders)
    if not entries:
        raise _nothing(folders, problems)
    return entries, problems


def read(folders: Sequence[Path]) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Read what `gather` does; it is no error here if no record is good."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for path in _files(folders, problems):
        try:
            entries.append(Entry(path, record.read(path)))
        except RecordError as error:
            problems.append(Problem(path, str(error)))
    return tuple(entries), tuple(problems)


def require_there(folders: Sequence[Path]) -> None:
    """Refuse what is no folder; records in it may come later.

    Raises:
        RecordError: If one of them is none.
    """
    for folder in folders:
        if not folder.is_dir():
            seen = "a file" if folder.exists() else "nothing"
            raise RecordError(f"no folder {folder}", seen=seen, fix="name a folder of runs, or start where it is")


def stamps(folders: Sequence[Path]) -> Stamps:
    """Return path, time and size of every record below some folders: what changes where a record does."""
    found = set()
    for folder in folders:
        for path, _ in _below(folder):
            with contextlib.suppress(OSError):
                status = os.stat(os.path.join(path, RESULT))
                found.add((path, status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))


def _files(folders: Sequence[Path], problems: list[Problem]) -> list[Path]:
    """List every `result.json` once, also where one folder lies in another; note a problem for each folder without any."""
    found: dict[tuple[int, int], Path] = {}
    for folder in folders:
        below = sorted(_below(folder))
        if not below:
            problems.append(Problem(folder, str(_empty(folder))))
        for path, inode in below:
            found.setdefault(inode, Path(path, RESULT))
    return list(found.values())


def _below(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the folders with a `result.json`, each with its device and inode; links are followed, once each."""
    seen = set()
    for path, inner, names in os.walk(folder, followlinks=True):
        try:
            status = os.stat(path)
        except FileNotFoundError:  # a run's own temporary folder that is gone by now
            inner.clear()
            continue
        inode = (status.st_dev, status.st_ino)
        if inode in seen:
            inner.clear()
        elif RESULT in names:
            yield path, inode
        seen.add(inode)


def _empty(folder: Path) -> RecordError:
    return RecordError(f"no records in {folder}", seen=_seen(folder), allowed=ALLOWED)


def _seen(folder: Path) -> str:
    if folder.is_dir():
        return "a folder without a result.json"
    return "a file" if folder.exists() else "nothing: the folder does not exist"


def _nothing(folders: Sequence[Path], problems: Sequence[Problem]) -> RecordError:
    broken = [problem for problem in problems if problem.path.name == RESULT]
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        seen = "\n".join([f"{len(broken)} broken", *(problem.message for problem in broken[:SHOWN]), *more])
        return RecordError("no record is whole", seen=seen, fix="run those commands again")
    return RecordError(
        f"no records in {', '.join(map(str, folders))}",
        seen="; ".join(_seen(folder) for folder in folders),
        allowed=ALLOWED,
        fix="make some with `bench pretrain` and `bench transfer`, or name their folder with --runs",
    )


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.6g}"
