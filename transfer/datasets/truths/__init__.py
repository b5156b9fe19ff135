"""Truth that can give no number, or not the one it seems to give: what every reader asks before it returns its data.

A kind of data has its own table here (`detection`, `segmentation`, `classification`): one function for each degenerate truth,
which yields an error where no number can come of it, and a note for the record where one can. A check and a run both read
through these, so that they can't differ. A new degenerate truth is one function and one line of its table.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pretrain.core.errors import DataError
from transfer.datasets import Tell

Finding = DataError | str
"""An error, or a note."""
FEW = 4
"""Names that a line lists at most."""

T = TypeVar("T")


def settle(table: Sequence[Callable[[T], Iterable[Finding]]], truth: T, tell: Tell) -> tuple[str, ...]:
    """Ask for every degenerate truth of a table; tells of the errors, and returns the notes."""
    notes = []
    for found in (finding for degenerate in table for finding in degenerate(truth)):
        if isinstance(found, DataError):
            tell(found)
        else:
            notes.append(found)
    return tuple(notes)


def alike(classes: Iterable[str]) -> Iterator[str]:
    """Note the classes whose names differ by case alone: most often one class, written in two ways."""
    spellings: dict[str, list[str]] = {}
    for name in dict.fromkeys(classes):
        spellings.setdefault(name.casefold(), []).append(name)
    pairs = [" and ".join(map(repr, names)) for names in spellings.values() if len(names) > 1]
    if pairs:
        yield f"classes whose names differ by case alone, counted as different ones: {few(pairs)}"


def in_both(train: Iterable[Path], val: Iterable[Path]) -> Iterator[str]:
    """Note the image files that are trained on and evaluated on, under whatever names they are linked."""
    trained = set(map(identity, train))
    both = [path for path in val if identity(path) in trained]
    if both:
        yield f"{len(both)} images are both trained on and evaluated on, the first is {both[0]}"


def few(names: Sequence[str]) -> str:
    """List the first names, and say how many more there are."""
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")


def identity(path: Path) -> object:
    """Return what tells a file from every other one; its path where the file system doesn't number its files."""
    try:
        found = os.stat(path)
    except OSError:  # that it can't be opened is said where it is opened
        return path
    return (found.st_dev, found.st_ino) if found.st_ino else path
