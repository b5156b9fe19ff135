"""What a reader notes of odd entries: how many there are of each kind, and the first one."""

from typing import ClassVar


class Remarks:
    """Counts entries by what is odd about them, and remembers the first of each kind."""

    ENDING: ClassVar[str] = ""
    """What happened to all of them."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, what: str, where: str) -> None:
        """Count an entry of the kind `what`."""
        self._counts[what] = self._counts.get(what, 0) + 1
        self._first.setdefault(what, where)

    def include(self, other: "Remarks") -> None:
        """Count what another one counted, too."""
        for what, count in other._counts.items():
            self._counts[what] = self._counts.get(what, 0) + count
            self._first.setdefault(what, other._first[what])

    def notes(self) -> tuple[str, ...]:
        """Write one line for each kind."""
        return tuple(
            f"{self._counts[what]} {what}{self.ENDING}, the first is {self._first[what]}" for what in sorted(self._counts)
        )


class Dropped(Remarks):
    """Counts the objects that are left out, by reason."""

    ENDING = " left out"
