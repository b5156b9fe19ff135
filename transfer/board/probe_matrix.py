"""Arrange the measures of the representation by probing augmentation: as a matrix, and as curves over its strength.

Down a column of the matrix of pre-trainings and probes stands what training changed; along a row, what the augmentation
does. A sweep over the strengths of one augmentation is its invariance curve.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transfer.board.columns import NO_PROBE, Column, Protocol
from transfer.board.leaderboard import Leaderboard
from transfer.metrics import METRICS
from transfer.record import Probe

Interval = tuple[float, float]
SWEPT = tuple(name for name, metric in METRICS.items() if metric.swept)
"""The measures that are drawn as curves; each has a matrix too."""
IN_MATRICES = tuple(name for name, metric in METRICS.items() if metric.swept or metric.blends_only)


class Value(NamedTuple):
    """One measure of one pre-training under one probe."""

    mean: float
    """Mean over repetitions."""
    interval: Interval | None
    """95 % interval over images, its ends the means over repetitions; None where a record has none."""


@dataclass(frozen=True)
class Matrix:
    """One measure of the representation under several probes, everything else the same."""

    column: Column
    """The column of the first probe."""
    probes: tuple[str, ...]
    """The probes in order; `none` is the base pipeline alone."""
    values: dict[int, tuple[Value | None, ...]]
    """Index of a row → the value under each probe; None where it was not measured."""
    columns: tuple[Column, ...] = ()
    """The column of each probe."""


@dataclass(frozen=True)
class Sweep:
    """The invariance curves of one augmentation: a field of it is swept, everything else the same."""

    protocol: Protocol
    """The protocol of the first strength."""
    augmentation: str
    field: str
    meaning: str
    """What the field is, with its unit; empty where the records don't say."""
    fixed: Mapping[str, Any]
    """The augmentation's other fields."""
    strengths: tuple[Any, ...]
    """Values of the field, rising where they are numbers."""
    values: dict[str, dict[int, tuple[Value | None, ...]]]
    """Measure → index of a row → the value at each strength."""

    @property
    def numeric(self) -> bool:
        """Whether the strengths are numbers."""
        return all(map(_is_number, self.strengths))


def value(board: Leaderboard, row: int, column: Column) -> Value | None:
    """Return a cell with its interval over images; None where nothing was measured, or nothing could be computed."""
    cell = board.cells.get((row, column.index))
    if cell is None or cell.mean is None:
        return None
    records = [board.entries[entry].record for entry in cell.entries]
    ends = [record.intervals.get(column.name) for record in records if record.metrics[column.name] is not None]
    known = [pair for pair in ends if pair is not None]
    if len(known) < len(ends):
        return Value(cell.mean, None)
    low, high = (sum(side) / len(known) for side in zip(*known, strict=True))
    return Value(cell.mean, (low, high))


def matrices(board: Leaderboard) -> tuple[Matrix, ...]:
    """Make the matrices, one per measure, data and settings: of two probes or more, or of one that blends."""
    made = (_matrix(board, columns) for name in IN_MATRICES for columns in _alike(board, name).values())
    return tuple(matrix for matrix in made if len(matrix.probes) > 1 or matrix.column.metric.blends_only)


def sweeps(board: Leaderboard) -> tuple[Sweep, ...]:
    """Make a sweep of every field of an augmentation that was measured at two strengths or more."""
    groups: dict[tuple[Any, ...], list[Column]] = {}
    for alike, columns in _alike(board, SWEPT[0]).items():
        for column in columns:
            probe = column.protocol.probe
            if probe is not None:
                for field in probe.options:
                    group = (alike, probe.augmentation, field, _text(_others(probe, field)))
                    groups.setdefault(group, []).append(column)
    made = (_sweep(board, field, columns) for (_, _, field, _), columns in groups.items() if len(columns) > 1)
    return tuple(sweep for sweep in made if len(sweep.strengths) > 1)


def _others(probe: Probe, field: str) -> dict[str, Any]:
    """Return the options of a probe but one."""
    return {name: option for name, option in probe.options.items() if name != field}


def _alike(board: Leaderboard, name: str) -> dict[tuple[str, ...], list[Column]]:
    """Group the columns of a measure that differ in nothing but the probe."""
    groups: dict[tuple[str, ...], list[Column]] = {}
    for column in board.columns:
        key = column.protocol.key
        if column.of_representation and column.name == name:
            same = (str(key.version), key.changed, key.engine, key.data, key.fingerprint)
            groups.setdefault(same, []).append(column)
    return groups


def _matrix(board: Leaderboard, columns: Sequence[Column]) -> Matrix:
    ordered = sorted(columns, key=lambda column: _order(column.probe))
    probes = tuple(column.probe or NO_PROBE for column in ordered)
    return Matrix(ordered[0], probes, _values(board, ordered), tuple(ordered))


def _sweep(board: Leaderboard, field: str, columns: Sequence[Column]) -> Sweep:
    by_strength = {_text(_probe(column).options[field]): column for column in reversed(columns)}  # of equal ones the first
    ordered = sorted(by_strength.values(), key=lambda column: _rank(_probe(column).options[field]))
    values = {}
    for name in SWEPT:
        of_protocol = {column.protocol.key: column for column in board.columns if column.name == name}
        values[name] = _values(board, [of_protocol.get(column.protocol.key) for column in ordered])
    probe = _probe(ordered[0])
    return Sweep(
        ordered[0].protocol,
        probe.augmentation,
        field,
        probe.meanings.get(field, ""),
        _others(probe, field),
        tuple(_probe(column).options[field] for column in ordered),
        values,
    )


def _values(board: Leaderboard, columns: Iterable[Column | None]) -> dict[int, tuple[Value | None, ...]]:
    """Collect the values under some columns, for the rows that have any."""
    ordered = list(columns)
    lines = {}
    for row in range(len(board.rows)):
        line = tuple(None if column is None else value(board, row, column) for column in ordered)
        if any(found is not None for found in line):
            lines[row] = line
    return lines


def _probe(column: Column) -> Probe:
    """Return the probe of a column that has one."""
    assert column.protocol.probe is not None
    return column.protocol.probe


def _order(probe: str) -> tuple[str, float, str]:
    """Sort by augmentation, then by the strength where it is one number."""
    name, _, options = probe.partition("(")
    strength = options.rstrip(")").rpartition("=")[2]
    try:
        return name, float(strength), options
    except ValueError:
        return name, 0.0, options


def _rank(strength: Any) -> tuple[float, str]:
    return (float(strength), "") if _is_number(strength) else (0.0, _text(strength))


def _is_number(strength: Any) -> bool:
    return isinstance(strength, int | float) and not isinstance(strength, bool)


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True)
