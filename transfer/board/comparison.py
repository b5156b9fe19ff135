"""Whether a row differs from its baseline by more than noise: paired over seeds, or by the published noise.

A trained row's baseline is the same pre-training without the augmentation; where there is none, and for that one
itself, the untrained backbone of the same architecture.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from scipy.special import ndtri, stdtrit

from transfer.board.leaderboard import Leaderboard, Row, RowKey, Seeds
from transfer.board.published import benchmark

CONFIDENCE = 0.95
TWO_SIDED = (1 + CONFIDENCE) / 2
CONTROL = "none"
"""The augmentation that is none."""

Verdict = Literal["significant", "within noise", "unknown"]


@dataclass(frozen=True)
class Difference:
    """One cell minus that of the baseline row."""

    baseline: int
    """The baseline's row."""
    mean: float
    half: float | None
    """Half the width of the 95 % interval; None where nothing says how large the noise is."""
    pairs: int
    """Pairs of runs with equal seeds."""
    prior: float | None = None
    """The published standard deviation, where that was used."""

    @property
    def verdict(self) -> Verdict:
        """`significant` where the interval leaves out zero. Each at the 5 % level on its own."""
        if self.half is None:
            return "unknown"
        return "significant" if abs(self.mean) > self.half else "within noise"


def differences(board: Leaderboard) -> dict[tuple[int, int], Difference]:
    """(row, column) → the difference to the row's baseline, wherever both have a number."""
    references = baselines(board.rows)
    noises = [_noise(board, column) for column in range(len(board.columns))]
    made = {}
    for row, column in board.cells:
        reference = references[row]
        both = None if reference is None else (board.samples.get((row, column)), board.samples.get((reference, column)))
        if reference is not None and both and both[0] and both[1]:
            made[row, column] = difference(reference, both[0], both[1], noises[column])
    return made


def difference(reference: int, mine: Mapping[Seeds, float], theirs: Mapping[Seeds, float], noise: float | None) -> Difference:
    """Numbers by seeds against the baseline's: paired where two seeds or more are common, else by the published noise.

    Args:
        reference: The baseline's row.
        mine: Seeds → number.
        theirs: Seeds → number of the baseline.
        noise: Published standard deviation over repetitions, if there is one.
    """
    common = [mine[key] - theirs[key] for key in mine if key in theirs]
    if len(common) > 1:
        mean, half = interval(common)
        return Difference(reference, mean, half, len(common))
    mean = sum(mine.values()) / len(mine) - sum(theirs.values()) / len(theirs)
    if noise is None:
        return Difference(reference, mean, None, len(common))
    half = float(ndtri(TWO_SIDED)) * noise * math.sqrt(1 / len(mine) + 1 / len(theirs))
    return Difference(reference, mean, half, len(common), noise)


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and half its 95 % interval by Student's t; None for fewer than two values."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return mean, None
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    return mean, _student(n - 1) * math.sqrt(variance / n)


@cache
def _student(freedom: int) -> float:
    return float(stdtrit(freedom, TWO_SIDED))


def baselines(rows: Sequence[Row]) -> tuple[int | None, ...]:
    """For each row its baseline's place; None for untrained backbones, and where there is no baseline."""
    untrained = {row.key.arch: place for place, row in enumerate(rows) if row.baseline}
    controls: dict[tuple[object, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if not row.baseline and row.key.aug == CONTROL:
            controls.setdefault(_but_augmentation(row.key), []).append(place)
    return tuple(_baseline(row, rows, controls, untrained) for row in rows)


def _baseline(
    row: Row, rows: Sequence[Row], controls: Mapping[tuple[object, ...], list[int]], untrained: Mapping[str, int]
) -> int | None:
    if row.baseline:
        return None
    if row.key.aug != CONTROL:
        alike = controls.get(_but_augmentation(row.key), [])
        same = [place for place in alike if rows[place].key.changed == row.key.changed]
        if len(same or alike) == 1:
            return (same or alike)[0]
    return untrained.get(row.key.arch)


def _but_augmentation(key: RowKey) -> tuple[object, ...]:
    """What a row and its control share; hidden settings may hold the augmentation's own."""
    return (key.method, key.supervision, key.label_fraction, key.arch, key.data, key.epochs, key.data_fingerprint)


def _noise(board: Leaderboard, place: int) -> float | None:
    column = board.columns[place]
    found = benchmark(column.protocol)
    return found.noise.get(column.name) if found else None
