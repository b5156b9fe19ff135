"""Decide whether a row differs from its baseline by more than noise: paired over seeds, or by the published noise.

A trained row's baseline is the same pre-training without the augmentation; where there is none, and for that one
itself, the untrained backbone of the same architecture.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy.special import ndtri, stdtrit

from transfer.board.columns import Column
from transfer.board.leaderboard import Leaderboard, Row, RowKey, Seeds
from transfer.board.published_numbers import benchmark

CONFIDENCE = 0.95
TWO_SIDED = (1 + CONFIDENCE) / 2
CONTROL = "none"
"""The augmentation that is none."""

Significance = Literal["significant", "within noise", "unknown"]


@dataclass(frozen=True)
class Difference:
    """One cell minus that of the baseline row."""

    baseline: int
    """Index of the baseline's row."""
    mean: float
    half: float | None
    """Half the width of the 95 % interval; None where nothing says how large the noise is."""
    pairs: int
    """Pairs of runs with equal seeds."""
    prior: float | None = None
    """The published standard deviation, where that was used."""

    @property
    def verdict(self) -> Significance:
        """Call it `significant` where the interval leaves out zero. Each is at the 5 % level on its own."""
        if self.half is None:
            return "unknown"
        return "significant" if abs(self.mean) > self.half else "within noise"


def differences(board: Leaderboard) -> dict[tuple[int, int], Difference]:
    """Compare every cell with its baseline's: (row, column) → the difference, wherever both have a number."""
    baseline_of = baselines(board.rows)
    noises = [_noise(column) for column in board.columns]
    made = {}
    for row, column in board.cells:
        baseline = baseline_of[row]
        if baseline is None:
            continue
        mine, theirs = board.samples.get((row, column)), board.samples.get((baseline, column))
        if mine and theirs:
            made[row, column] = difference(baseline, mine, theirs, noises[column])
    return made


def difference(baseline: int, mine: Mapping[Seeds, float], theirs: Mapping[Seeds, float], noise: float | None) -> Difference:
    """Compare numbers with the baseline's: paired where two seeds or more are common, else by the published noise.

    Args:
        baseline: Index of the baseline's row.
        mine: Seeds → number.
        theirs: Seeds → number of the baseline.
        noise: Published standard deviation over repetitions, if there is one.
    """
    common = [mine[key] - theirs[key] for key in mine if key in theirs]
    if len(common) > 1:
        mean, half = interval(common)
        return Difference(baseline, mean, half, len(common))
    mean = sum(mine.values()) / len(mine) - sum(theirs.values()) / len(theirs)
    if noise is None:
        return Difference(baseline, mean, None, len(common))
    half = float(ndtri(TWO_SIDED)) * noise * math.sqrt(1 / len(mine) + 1 / len(theirs))
    return Difference(baseline, mean, half, len(common), noise)


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and half its 95 % interval by Student's t; None for fewer than two values.

    NOTE: These are the numbers of `scipy.stats.ttest_1samp(values, 0).confidence_interval()`, which takes 0.4 ms: a board
    of ten thousand records asks for 8,000 intervals.
    """
    n, mean = len(values), fmean(values)
    if n < 2:
        return mean, None
    return mean, float(stdtrit(n - 1, TWO_SIDED)) * stdev(values, mean) / math.sqrt(n)


def baselines(rows: Sequence[Row]) -> tuple[int | None, ...]:
    """Find the index of each row's baseline; None for untrained backbones, and where there is no baseline."""
    untrained = {row.key.arch: index for index, row in enumerate(rows) if row.baseline}
    controls: dict[tuple[object, ...], list[int]] = {}
    for index, row in enumerate(rows):
        if not row.baseline and row.key.aug == CONTROL:
            controls.setdefault(_but_augmentation(row.key), []).append(index)
    return tuple(_baseline(row, rows, controls, untrained) for row in rows)


def _baseline(
    row: Row, rows: Sequence[Row], controls: Mapping[tuple[object, ...], list[int]], untrained: Mapping[str, int]
) -> int | None:
    """Choose the control of the same settings, or the only control, or the untrained backbone of the architecture."""
    if row.baseline:
        return None
    if row.key.aug != CONTROL:
        alike = controls.get(_but_augmentation(row.key), [])
        same = [index for index in alike if rows[index].key.changed == row.key.changed]
        if len(same or alike) == 1:
            return (same or alike)[0]
    return untrained.get(row.key.arch)


def _but_augmentation(key: RowKey) -> tuple[object, ...]:
    """Return what a row and its control have in common; hidden settings may hold the augmentation's own."""
    return (key.method, key.supervision, key.label_fraction, key.arch, key.data, key.epochs, key.data_fingerprint)


def _noise(column: Column) -> float | None:
    """Return the published standard deviation over repetitions of a column's metric; None where there is none."""
    found = benchmark(column.protocol)
    return found.noise.get(column.name) if found else None
