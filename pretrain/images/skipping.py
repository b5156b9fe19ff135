"""Unreadable images that don't stop a run: each is replaced by the next readable one, counted and listed."""

from collections.abc import Sequence
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.core.journal import append_line
from pretrain.core.settings import text_lines
from pretrain.core.texts import escaped
from pretrain.core.workers import shared_bytes

SKIPPED = "skipped.txt"
"""File in the run's folder with the images that were replaced, one `class folder/image` per line."""
IN_A_ROW = 100
"""Unreadable neighbours at which a run stops: so many aren't bad images, but a data set that is gone."""
SHOWN_NAMES = 3
"""Images named in a record's note."""


class Skipped:
    """The images of a run that are known to be unreadable, in memory shared by all loader workers."""

    def __init__(self, images: int) -> None:
        self._bad = shared_bytes(images)
        self._reported: set[int] = set()

    def count(self) -> int:
        """Count the unreadable images found so far."""
        return int(self._bad.sum())

    def new(self) -> list[int]:
        """Return the sorted indices of the unreadable images found since the last call in this process."""
        if self.count() == len(self._reported):
            return []
        since = sorted(set(self._bad.nonzero().flatten().tolist()) - self._reported)
        self._reported.update(since)
        return since

    def add(self, index: int) -> None:
        """Record an unreadable image."""
        self._bad[index] = True

    def instead_of(self, index: int) -> int:
        """Choose the image itself, or the next one in order that isn't known to be unreadable; the first follows the last.

        The choice depends on the index and the files alone, so that a resumed run makes the same.

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
    """The list of replaced images in the run's folder; a resumed run appends to it."""

    def __init__(self, folder: Path, names: Sequence[str], skipped: Skipped) -> None:
        self._file, self._names, self.skipped = folder / SKIPPED, names, skipped
        self._listed = set(self.names())

    def update(self) -> None:
        """Append the images replaced since the last call; called before the next checkpoint, so that none is lost."""
        for name in (escaped(self._names[index]) for index in self.skipped.new()):
            if name not in self._listed:
                append_line(self._file, name)
                self._listed.add(name)

    def notes(self) -> tuple[str, ...]:
        """Update the list, and return the record's note on it, if any image was replaced."""
        self.update()
        names = self.names()
        return (note(names, len(self._names)),) if names else ()

    def names(self) -> list[str]:
        """Read the sorted names of all replaced images, of all processes that have written them."""
        return sorted(set(text_lines(self._file))) if self._file.is_file() else []


def note(names: Sequence[str], total: int) -> str:
    """Write the record's note on the replaced images."""
    return f"{len(names)} of {total:,} images can't be read and were replaced by the next in order ({SKIPPED}): {shown(names)}"


def shown(names: Sequence[str]) -> str:
    """List the first names of a note."""
    return ", ".join(map(escaped, names[:SHOWN_NAMES])) + (", …" if len(names) > SHOWN_NAMES else "")
