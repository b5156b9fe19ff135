"""What a robustness test reports: a promise, how it was tried, how often, and how often it was broken.

Each long form is a script of this folder with a function `rows(short: bool) -> list[Row]`; `table.py` runs them all. A script
finds this file by `from rows import Row`, its own folder being the first that Python looks in; a test by `runpy`.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of docs/ROBUSTNESS.md."""

    promise: str
    """What a user may rely on."""
    test: str
    """What was done to break it, in words."""
    tries: int
    """How often."""
    failures: int
    """How often the promise was broken."""


def write(rows: Iterable[Row], path: Path) -> None:
    """As JSON, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read(path: Path) -> list[Row]:
    """What `write` wrote."""
    return [Row(**plain) for plain in json.loads(path.read_text(encoding="utf-8"))]
