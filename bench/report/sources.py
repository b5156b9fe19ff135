"""Say where the records of a report come from, and whether they changed since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from bench import report
from bench.report.content import Content
from bench.report.gather import Stamps, require_there, stamps


class Source(Protocol):
    """What a report is of, to be read again and again."""

    def stamp(self) -> object:
        """Return what compares equal as long as the report is the same; cheap beside reading it."""

    def content(self) -> Content:
        """Read it.

        Raises:
            RecordError: If there is no good record.
        """


@dataclass(frozen=True)
class Folders:
    """The records below some folders."""

    folders: Sequence[Path]
    interests: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def here(cls, folders: Sequence[Path], interests: Mapping[str, float]) -> Self:
        """Name folders that exist; records may come later.

        Raises:
            RecordError: If one of them is none.
        """
        require_there(folders)
        return cls(folders, interests)

    def stamp(self) -> Stamps:
        """Return path, time and size of every record."""
        return stamps(self.folders)

    def content(self) -> Content:
        """Read the records."""
        return report.read(self.folders, self.interests)
