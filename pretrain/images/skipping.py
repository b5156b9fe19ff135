"""Unreadable images that a run goes on without: each is replaced by the next readable one, counted and listed."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pretrain.core.errors import DataError
from pretrain.core.journal import append_line
from pretrain.core.settings import text_lines

SKIPPED = "skipped.txt"
"""File in the run's folder with the images that were replaced, one `class folder/image` per line."""
IN_A_ROW = 100
"""Neighbours that may all be unreadable; more of them are no bad images, but a data set that is gone."""
NAMED = 3
"""Images named in a record's note."""


class Skipped:
    """Which images of a run are known to be unreadable. Shared by all loader processes."""

    def __init__(self, images: int) -> None:
        self._bad: Tensor = torch.zeros(images, dtype=torch.bool).share_memory_()
        self._told: set[int] = set()

    def count(self) -> int:
        """Unreadable images met so far."""
        return int(self._bad.sum())

    def new(self) -> list[int]:
        """Indices of the unreadable images met since this was asked before, in this process."""
        if self.count() == len(self._told):
            return []
        since = sorted(set(self._bad.nonzero().flatten().tolist()) - self._told)
        self._told.update(since)
        return since

    def add(self, index: int) -> None:
        """Note an unreadable image."""
        self._bad[index] = True

    def instead_of(self, index: int) -> int:
        """The image itself, or the next one in order that is not known to be unreadable; after the last comes the first.

        A function of the position and of the files alone: a resumed run takes the same.

        Raises:
            DataError: If `IN_A_ROW` neighbours are unreadable, or all images.
        """
        total = len(self._bad)
        for ahead in range(min(IN_A_ROW, total)):
            if not self._bad[(index + ahead) % total]:
                return (index + ahead) % total
        raise DataError(
            f"{min(IN_A_ROW, total)} images in a row can't be read",
            seen=f"{self.count()} of {total} images unreadable so far",
            allowed=f"fewer than {IN_A_ROW} in a row, with on_bad_image skip",
            fix="mount or restore the data, and give the same command again",
        )


class Ledger:
    """The list of replaced images in the run's folder, which a resumed run adds to."""

    def __init__(self, folder: Path, names: tuple[str, ...], skipped: Skipped) -> None:
        self._file, self._names, self.skipped = folder / SKIPPED, names, skipped
        self._listed = set(self.names())

    def update(self) -> None:
        """List what was replaced since: before the checkpoint that comes after it, so that none is lost."""
        for name in (self._names[index] for index in self.skipped.new()):
            if name not in self._listed:
                append_line(self._file, name)
                self._listed.add(name)

    def names(self) -> list[str]:
        """All that was replaced, sorted; of every process, as far as they have listed it."""
        return sorted(set(text_lines(self._file))) if self._file.is_file() else []


def note(names: Sequence[str], total: int) -> str:
    """What a record says of them."""
    first = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return f"{len(names)} of {total:,} images can't be read and were replaced by the next in order ({SKIPPED}): {first}"
