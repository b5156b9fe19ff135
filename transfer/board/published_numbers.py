"""Set published numbers beside measured ones, only where a column is a published protocol on that benchmark's own data."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pretrain.augment import AUGMENTATIONS
from pretrain.core.errors import RecordError
from transfer import tasks
from transfer.board.columns import Column, Protocol
from transfer.board.leaderboard import Leaderboard, Row
from transfer.tasks import Published

FIELDS = (
    ("method", "aug", "supervision", "label_fraction", "arch", "pretrain_dataset", "epochs")
    + ("task", "metric", "value", "source")
)  # fmt: skip
TELLING = tuple(name for name, listed in AUGMENTATIONS.items() if listed.kind != "none")
"""Names in a published augmentation that tell it from the plain one."""


@dataclass(frozen=True)
class Number:
    """One line of a file of published numbers."""

    pretraining: tuple[str, ...]
    """Method, augmentation, supervision, label fraction, architecture, data and epochs, as printed; empty: not stated."""
    task: str
    metric: str
    value: float
    source: str
    """Where it was printed, and what a reader must know."""


@dataclass(frozen=True)
class Measured:
    """The measured row that a published number is compared with."""

    row: int
    """Index of the row of the same pre-training, or of the best of the column with that architecture."""
    same: bool
    """Whether it is the same pre-training."""
    difference: float
    """Measured minus published."""


@dataclass(frozen=True)
class PublishedCell:
    """A published number under a measured column."""

    value: float
    measured: Measured | None
    """None where nothing of that architecture was measured."""


@dataclass(frozen=True)
class PublishedRow:
    """One published pre-training, as one source gives it."""

    pretraining: tuple[str, ...]
    source: str
    cells: dict[int, PublishedCell]
    """Index of the column → number."""


def read(folder: Path) -> list[Number]:
    """Read the numbers of every CSV in a folder.

    Raises:
        RecordError: If a file lacks a column, or a value is no finite number; names file and line.
    """
    return [number for path in sorted(folder.glob("*.csv")) for number in _read(path)]


def _read(path: Path) -> Iterable[Number]:
    """Read the numbers of one CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        if missing := [name for name in FIELDS if name not in (lines.fieldnames or ())]:
            raise RecordError(f"{path} is no table of published numbers", seen=f"no column {missing[0]}", allowed=FIELDS)
        for line in lines:
            value = _finite(line["value"])
            if value is None or not line["source"]:
                wrong = f"line {lines.line_num} of {path} has no number with a source"
                raise RecordError(wrong, seen=f"{line['value']!r}, {line['source']!r}")
            yield Number(tuple(line[name] for name in FIELDS[:7]), line["task"], line["metric"], value, line["source"])


def _finite(text: str) -> float | None:
    """Read a finite number; None where the text is none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def benchmark(protocol: Protocol) -> Published | None:
    """Find the published benchmark that a group of columns equals; None where something was changed, or the data is other."""
    key = protocol.key
    name, _, schedule = key.protocol.partition("@")
    if key.task not in tasks.TASKS or protocol.changed or name != key.task or protocol.data is None:
        return None
    task = tasks.get(key.task)
    return task.benchmark(protocol.data, schedule or None) if key.version == task.version else None


def beside(board: Leaderboard, numbers: Sequence[Number]) -> tuple[PublishedRow, ...]:
    """Return the published rows that have a number under some measured column, in the files' order."""
    rows: dict[tuple[tuple[str, ...], str], dict[int, PublishedCell]] = {}
    for column in board.columns:
        equal = benchmark(column.protocol)
        if equal is None:
            continue
        for number in numbers:
            if _under(number, equal, column.name):
                cell = PublishedCell(number.value, _measured(board, column, number))
                rows.setdefault((number.pretraining, number.source), {}).setdefault(column.index, cell)
    return tuple(PublishedRow(*key, cells) for key, cells in rows.items())


def apart(board: Leaderboard, numbers: Sequence[Number]) -> tuple[Number, ...]:
    """Return the numbers whose protocol no measured column equals: they share a column with none of these runs."""
    equal = [(column.name, one) for column in board.columns if (one := benchmark(column.protocol)) is not None]
    return tuple(number for number in numbers if not any(_under(number, one, metric) for metric, one in equal))


def _under(number: Number, equal: Published, metric: str) -> bool:
    """Whether a number is of that benchmark and that metric."""
    return number.task == equal.name and equal.source in number.source and number.metric == metric


def _measured(board: Leaderboard, column: Column, number: Number) -> Measured | None:
    """Choose the measured row that a published number is compared with; None without one of that architecture."""
    arch = _plain(number.pretraining[4])
    measured = [
        (row, cell.mean)
        for (row, column_index), cell in board.cells.items()
        if column_index == column.index and cell.mean is not None and _plain(board.rows[row].key.arch) == arch
    ]
    if not measured:
        return None
    same = [pair for pair in measured if _same(board.rows[pair[0]], number.pretraining)]
    row, mean = max(same or measured, key=lambda pair: pair[1] * (column.metric.sign or 1))
    return Measured(row, bool(same), mean - number.value)


def _same(row: Row, printed: tuple[str, ...]) -> bool:
    """Whether a measured row of that architecture is that published pre-training, case and punctuation of names apart.

    A row that changed any setting of its method's published recipe is another.
    """
    method, aug, supervision, fraction, _, data, epochs = printed
    if row.baseline:
        return _plain(method) == "randominit"
    key = row.key
    mine = {"full": "supervised"}.get(key.supervision, key.supervision)
    extra = [name for name in TELLING if name in aug.lower()]
    return (
        _plain(key.method) == _plain(method)
        and _plain(data) in {_plain(key.data), _plain(key.data) + "1k"}
        and mine == supervision
        and (key.aug in extra if extra else key.aug == "none")
        and (not fraction or _finite(fraction) == key.label_fraction)
        and bool(epochs)
        and _finite(epochs) == key.epochs
        and key.augmentation == key.changed == "{}"
    )


def _plain(text: str) -> str:
    """Reduce a name to its letters and digits, in lower case; `+` tells MoCo v2+ from MoCo v2."""
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == "+")
