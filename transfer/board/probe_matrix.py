"""The matrix of pre-trainings and probing augmentations: down a column, what training changed; along a row, what the
augmentation does. A sweep over the strengths of one augmentation is its invariance curve.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from transfer.board.columns import NO_PROBE, REPRESENTATION, Column, Protocol
from transfer.board.leaderboard import Leaderboard

Interval = tuple[float, float]
PRIMARY = "Linv_primary"
"""Only blends have it."""
SWEPT = ("Linv", "Ldiv")
MEASURES = (*SWEPT, PRIMARY)


class Value(NamedTuple):
    """One measure of one pre-training under one probe."""

    mean: float
    """Over repetitions."""
    interval: Interval | None
    """95 % over images, its ends the means over repetitions; None where a record has none."""


@dataclass(frozen=True)
class Matrix:
    """One measure of the representation under several probes, everything else the same."""

    column: Column
    """That of the first probe."""
    probes: tuple[str, ...]
    """In order; `none` is the base pipeline alone."""
    values: dict[int, tuple[Value | None, ...]]
    """Row of the leaderboard → the value under each probe; None where it was not measured."""


@dataclass(frozen=True)
class Sweep:
    """The invariance curves of one augmentation: a field of it is swept, everything else the same."""

    protocol: Protocol
    """That of the first strength."""
    augmentation: str
    field: str
    meaning: str
    """What the field is, with its unit; empty where the records don't say."""
    fixed: Mapping[str, Any]
    """The augmentation's other fields."""
    strengths: tuple[Any, ...]
    """Values of the field, rising where they are numbers."""
    values: dict[str, dict[int, tuple[Value | None, ...]]]
    """Measure → row of the leaderboard → the value at each strength."""

    @property
    def numeric(self) -> bool:
        """Whether the strengths are numbers."""
        return all(map(_is_number, self.strengths))


def value(board: Leaderboard, row: int, place: int) -> Value | None:
    """A cell with its interval over images; None where nothing was measured, or nothing could be computed."""
    cell, name = board.cells.get((row, place)), board.columns[place].name
    if cell is None or cell.mean is None:
        return None
    records = [board.entries[entry].record for entry in cell.entries]
    ends = [record.intervals.get(name) for record in records if record.metrics[name] is not None]
    known = [pair for pair in ends if pair is not None]
    if len(known) < len(ends):
        return Value(cell.mean, None)
    low, high = (sum(side) / len(known) for side in zip(*known, strict=True))
    return Value(cell.mean, (low, high))


def matrices(board: Leaderboard) -> tuple[Matrix, ...]:
    """The matrices with at least two probes, one per measure, data and settings."""
    made = (_matrix(board, places) for name in MEASURES for places in _alike(board, name).values())
    return tuple(matrix for matrix in made if len(matrix.probes) > 1 or matrix.column.name == PRIMARY)


def sweeps(board: Leaderboard) -> tuple[Sweep, ...]:
    """Every field of an augmentation that was measured at two strengths or more."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for alike, places in _alike(board, SWEPT[0]).items():
        for place in places:
            probe = board.columns[place].protocol.probe
            for field in probe.options if probe else ():
                assert probe is not None
                others = {name: option for name, option in probe.options.items() if name != field}
                groups.setdefault((alike, probe.augmentation, field, _text(others)), []).append(place)
    made = (_sweep(board, key[2], places) for key, places in groups.items() if len(places) > 1)
    return tuple(sweep for sweep in made if len(sweep.strengths) > 1)


def _alike(board: Leaderboard, name: str) -> dict[tuple[str, ...], list[int]]:
    """The columns of a measure that differ in nothing but the probe."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, column in enumerate(board.columns):
        key = column.protocol.key
        if key.task == REPRESENTATION and column.name == name:
            same = (str(key.version), key.changed, key.engine, key.data, key.fingerprint)
            groups.setdefault(same, []).append(place)
    return groups


def _matrix(board: Leaderboard, places: list[int]) -> Matrix:
    ordered = sorted(places, key=lambda place: _order(board.columns[place].probe))
    probes = tuple(board.columns[place].probe or NO_PROBE for place in ordered)
    return Matrix(board.columns[ordered[0]], probes, _values(board, ordered))


def _sweep(board: Leaderboard, field: str, places: list[int]) -> Sweep:
    at = {_text(_options(board, place)[field]): place for place in reversed(places)}  # of equal strengths the first
    ordered = sorted(at.values(), key=lambda place: _rank(_options(board, place)[field]))
    protocol = board.columns[ordered[0]].protocol
    assert protocol.probe is not None
    values = {}
    for name in SWEPT:
        columns = {column.protocol.key: other for other, column in enumerate(board.columns) if column.name == name}
        values[name] = _values(board, [columns.get(board.columns[place].protocol.key) for place in ordered])
    return Sweep(
        protocol,
        protocol.probe.augmentation,
        field,
        protocol.probe.meanings.get(field, ""),
        {name: option for name, option in protocol.probe.options.items() if name != field},
        tuple(_options(board, place)[field] for place in ordered),
        values,
    )


def _values(board: Leaderboard, places: Iterable[int | None]) -> dict[int, tuple[Value | None, ...]]:
    """The values of the rows that have any."""
    ordered = list(places)
    lines = {
        row: tuple(None if place is None else value(board, row, place) for place in ordered) for row in range(len(board.rows))
    }
    return {row: line for row, line in lines.items() if any(found is not None for found in line)}


def _options(board: Leaderboard, place: int) -> dict[str, Any]:
    probe = board.columns[place].protocol.probe
    assert probe is not None
    return probe.options


def _order(probe: str) -> tuple[str, float, str]:
    """By augmentation, then by the strength where it is one number."""
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
