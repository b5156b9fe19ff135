"""How far a running cell is, read from its run's own files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretrain.core.journal import METRICS, is_number

TAIL = 65_536
"""Bytes that are read at a file's end: the speed is that of the steps which they tell of."""
_NUMBERS = ("step", "of", "seconds")
_SAYS = frozenset({"stage", *_NUMBERS})


@dataclass(frozen=True)
class Progress:
    """The last step that a run logged."""

    stage: str
    step: int
    of: int
    left: float | None
    """Seconds to the end of the stage; None while one step alone is logged."""


def read(folder: Path) -> Progress | None:
    """Read how far a run is; None where its folder tells of no step."""
    rows = list(_rows(folder / METRICS, at_end=True))
    if not rows:
        return None
    last = rows[-1]
    first = next(row for row in rows if (row["stage"], row["of"]) == (last["stage"], last["of"]))
    steps, took = last["step"] - first["step"], last["seconds"] - first["seconds"]
    left = (last["of"] - last["step"]) * took / steps if steps > 0 and took >= 0 else None
    return Progress(str(last["stage"]), last["step"], last["of"], left)


def training(folder: Path, stage: str) -> float | None:
    """Return the seconds that all steps of a run's stage take without what comes before them: those of the steps between the
    first and the last line, for as many as there are. None where its log has no two lines of it.
    """
    first = next((row for row in _rows(folder / METRICS, at_end=False) if row["stage"] == stage), None)
    last = next((row for row in reversed([*_rows(folder / METRICS, at_end=True)]) if row["stage"] == stage), None)
    if first is None or last is None or last["step"] <= first["step"]:
        return None
    return float(max(0.0, last["seconds"] - first["seconds"]) / (last["step"] - first["step"]) * last["of"])


def _rows(path: Path, *, at_end: bool) -> Iterator[dict[str, Any]]:
    """Yield the steps at a file's end, or at its beginning; lines that are cut, or say something else, are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL) if at_end else 0)
            lines = file.read(TAIL).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and row.keys() >= _SAYS and all(is_number(row[name]) for name in _NUMBERS):
            yield row
