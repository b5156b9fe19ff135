"""The matrix of pre-trainings and probing augmentations: down a column, what training changed; along a row, what the
augmentation does. A sweep of one strength is a row of the matrix in order: the invariance curve.
"""

from dataclasses import dataclass

from transfer.columns import NO_PROBE, REPRESENTATION, Protocol
from transfer.leaderboard import Leaderboard

MEASURES = ("Linv", "Ldiv")


@dataclass(frozen=True)
class Matrix:
    """One measure of the representation under several probes, everything else the same."""

    measure: str
    protocol: Protocol
    """That of the first probe."""
    probes: tuple[str, ...]
    """In order; `none` is the base pipeline alone."""
    values: dict[int, tuple[float | None, ...]]
    """Row of the leaderboard → the mean under each probe; None where it was not measured."""


def matrices(board: Leaderboard) -> tuple[Matrix, ...]:
    """The matrices with at least two probes, one per measure, data and settings."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, column in enumerate(board.columns):
        key = column.protocol.key
        if key.task == REPRESENTATION and column.name in MEASURES:
            same = (column.name, str(key.version), key.changed, key.engine, key.data, key.fingerprint)
            groups.setdefault(same, []).append(place)
    return tuple(_matrix(board, places) for places in groups.values() if len(places) > 1)


def _matrix(board: Leaderboard, places: list[int]) -> Matrix:
    ordered = sorted(places, key=lambda place: _order(board.columns[place].probe))
    values = {}
    for row in range(len(board.rows)):
        cells = [board.cells.get((row, place)) for place in ordered]
        if any(cell is not None for cell in cells):
            values[row] = tuple(None if cell is None else cell.mean for cell in cells)
    first = board.columns[ordered[0]]
    return Matrix(first.name, first.protocol, tuple(board.columns[place].probe or NO_PROBE for place in ordered), values)


def _order(probe: str) -> tuple[str, float, str]:
    """By augmentation, then by the strength where it is one number."""
    name, _, options = probe.partition("(")
    strength = options.rstrip(")").rpartition("=")[2]
    try:
        return name, float(strength), options
    except ValueError:
        return name, 0.0, options
