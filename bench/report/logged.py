"""Thin what runs logged into curves that are small enough to stand in the page."""

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import words
from pretrain.core.journal import METRICS, is_number

POINTS = 48
"""Of one curve: more can't be told apart on a curve a few hundred pixels wide."""
CURVES = 24
"""Of one run, the first ones."""
LINES = 2_000
"""Of one kind that are read of a log, evenly spread; a long training logs a hundred times as many."""
NUMBERS = 1_000_000
"""Of all curves of a page; where there are more, every curve has fewer points."""
FEWEST = 8
"""Points of a curve that is thinned for the page's sake."""
SAID = ("stage", "step", "of", "seconds")
"""What a line of a log says beside its values."""
REMEMBERED = 4096
"""Logs whose curves are kept for the next rendering in the same process."""


class Curve(NamedTuple):
    """One value of one stage over its steps."""

    stage: str
    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


def curves(folder: Path) -> tuple[Curve, ...]:
    """Read the curves of the run in a folder; none where it kept no log or logged nothing twice."""
    path = folder / METRICS
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return ()


def pack(runs: Sequence[Sequence[Curve]]) -> str:
    """Write the curves of some runs as JSON, run → its curves, compressed and in base 64; empty where none has any.

    The page unpacks them when a run's curves are asked for.
    """
    total = sum(len(curve.values) for run in runs for curve in run)
    if not total:
        return ""
    points = max(FEWEST, min(POINTS, POINTS * NUMBERS // total))
    plain = {index: [thinned(curve, points) for curve in run] for index, run in enumerate(runs) if run}
    text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def thinned(curve: Curve, points: int) -> Curve:
    """Average a curve over stretches of equally many steps, so that at most `points` are left, of four digits each."""
    count = len(curve.values)
    ends = [count * place // min(points, count) for place in range(min(points, count) + 1)]
    stretches = [slice(start, end) for start, end in pairwise(ends)]
    steps, values = (tuple(_mean(numbers[part]) for part in stretches) for numbers in (curve.steps, curve.values))
    return Curve(curve.stage, curve.name, tuple(round(step, 1) for step in steps), tuple(float(f"{v:.4g}") for v in values))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


@lru_cache(maxsize=REMEMBERED)
def _read(path: Path, modified: int, size: int) -> tuple[Curve, ...]:
    """Read a log; its time and size tell whether it is still the one that was read before."""
    found: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for row in _rows(path.read_bytes()):
        for name, value in row.items():
            if name not in SAID and is_number(value):
                found[words.clean(str(row["stage"])), words.clean(name)][row["step"]] = value
    several = ((*of, sorted(points.items())) for of, points in found.items() if len(points) > 1)
    made = (Curve(stage, name, *zip(*points, strict=True)) for stage, name, points in several)
    return tuple(thinned(curve, POINTS) for curve in islice(made, CURVES))


def _rows(text: bytes) -> Iterator[dict[str, Any]]:
    """Yield whole lines, of every kind evenly spread ones; lines of one stage with equally many values are of one kind."""
    kinds: dict[tuple[bytes, int], list[bytes]] = defaultdict(list)
    for line in text.splitlines():
        kinds[line.partition(b'"step"')[0], line.count(b":")].append(line)
    for lines in kinds.values():
        every = -(-len(lines) // LINES)
        for line in lines[::every]:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and "stage" in row and is_number(row.get("step")):
                yield row
