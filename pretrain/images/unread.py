"""What was seen among the images of a split and is not read, counted, so that nobody misses it in silence."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

CLUTTER = frozenset({"thumbs.db", "desktop.ini"})
"""Files that systems leave in folders, in lower case; hidden ones aside."""


@dataclass
class Unread:
    """Counts of what is not read."""

    endings: Counter[str] = field(default_factory=Counter)
    """Files in the class folders that are no images, by ending in lower case."""
    beside: int = 0
    """Images beside the class folders."""
    circular: int = 0
    """Linked folders that lead back to a folder they are in."""
    remarks: list[str] = field(default_factory=list)
    """What else there is to know of the split."""

    def add(self, names: Iterable[str]) -> None:
        """Count files that are no images; hidden ones are nobody's data."""
        bases = (name.rpartition("/")[2] for name in names)
        self.endings.update(
            os.path.splitext(base)[1].lower() for base in bases if base[:1] not in ("", ".") and base.lower() not in CLUTTER
        )

    def notes(self, split: str) -> list[str]:
        """Say what is not read, for a check and for a record."""
        said = [*self.remarks]
        if total := self.endings.total():
            each = ", ".join(f"{count:,} {ending or 'without ending'}" for ending, count in sorted(self.endings.items()))
            said.append(f"{each} {'file' if total == 1 else 'files'} in the class folders of {split} {_are(total)} not read")
        if self.beside:
            images = "image" if self.beside == 1 else "images"
            said.append(f"{self.beside:,} {images} beside the class folders of {split} {_are(self.beside)} not read")
        if self.circular:
            links = "linked folder leads" if self.circular == 1 else "linked folders lead"
            said.append(f"{self.circular:,} {links} back to a folder above in {split}: not followed")
        return said


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
