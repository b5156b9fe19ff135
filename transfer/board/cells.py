"""Average the numbers of a row and column over run seeds into units of pre-training, and pool these into one cell.

An augmentation is applied to a pre-training, so that a pre-training is what an experiment on augmentations repeats.
Fine-tuning one checkpoint again and again measures that checkpoint better, and says nothing of another pre-training; such
repetitions are averaged first (Hurlbert 1984 on pseudo-replication; Bouthillier et al. 2021, arXiv 2103.03098, on the
sources of variance of a benchmark). A file whose seed is unknown is a row of its own, with one unit.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

Seeds = tuple[int | None, int]
"""Seed of the pre-training (None: unknown) and of the run."""
Place = tuple[int, int]
"""Row and column."""


class Unit(NamedTuple):
    """One pre-training under one column."""

    seed: int | None
    """Seed of the pre-training; None where its file doesn't say."""
    values: Mapping[int, float]
    """Seed of the run → its number."""
    mean: float
    """Mean over the runs."""


class Spread(NamedTuple):
    """A standard deviation and the degrees of freedom it was estimated with."""

    sd: float
    freedom: float


class Count(NamedTuple):
    """How often something was repeated."""

    pretrainings: int
    fewest: int
    """Trials of the pre-training that has the fewest."""
    most: int


@dataclass(frozen=True)
class Cell:
    """The pooled repetitions of one row under one column."""

    mean: float | None
    """Mean over pre-trainings; None where every run said it could not be computed."""
    std: float | None
    """Sample standard deviation over pre-trainings, of a single one over its trials; None where nothing was repeated."""
    count: Count
    entries: tuple[int, ...]
    """The runs, as indices into `Leaderboard.entries`."""


def collect(values: pd.DataFrame, seeds: Sequence[Seeds]) -> dict[Place, tuple[Unit, ...]]:
    """Average numbers over run seeds: (row, column) → one unit per pre-training, sorted by seed.

    Numbers that could not be computed are left out. Two files of one seed are one unit: they drew the same numbers.

    Args:
        values: `Leaderboard.values`.
        seeds: Of each entry.
    """
    found: dict[Place, dict[int | None, dict[int, list[float]]]] = {}
    for entry, row, column, value in _lines(values):
        if not math.isnan(value):
            seed, run = seeds[entry]
            by_run = found.setdefault((row, column), {}).setdefault(seed, {})
            if run in by_run:
                by_run[run].append(value)
            else:
                by_run[run] = [value]
    return {place: _units(by_seed) for place, by_seed in found.items()}


def pooled(values: pd.DataFrame, units: Mapping[Place, Sequence[Unit]]) -> dict[Place, Cell]:
    """Pool the units of every row and column in which something ran."""
    entries: dict[Place, list[int]] = defaultdict(list)
    for entry, row, column, _ in _lines(values):
        entries[row, column].append(entry)
    return {place: cell(units.get(place, ()), tuple(runs)) for place, runs in entries.items()}


def cell(units: Sequence[Unit], entries: tuple[int, ...] = ()) -> Cell:
    """Pool the units of one row and column, which came of some runs."""
    spread = between(units) or within(units)
    return Cell(average(units) if units else None, spread.sd if spread else None, count(units), entries)


def count(units: Sequence[Unit]) -> Count:
    """Count pre-trainings and trials."""
    trials = [len(unit.values) for unit in units] or [0]
    return Count(len(units), min(trials), max(trials))


def average(units: Sequence[Unit]) -> float:
    """Return the mean over pre-trainings."""
    return sum(unit.mean for unit in units) / len(units)


def between(units: Sequence[Unit]) -> Spread | None:
    """Return the spread of the units' means over pre-trainings; None for fewer than two."""
    return pooled_spread([[unit.mean for unit in units]])


def within(units: Sequence[Unit]) -> Spread | None:
    """Return the spread over run seeds within pre-trainings, pooled over them; None where no unit has two runs."""
    return pooled_spread([list(unit.values.values()) for unit in units])


def pooled_spread(groups: Sequence[Sequence[float]]) -> Spread | None:
    """Pool the variance of groups around their own means; None where no group has two values."""
    freedom = sum(len(group) - 1 for group in groups if group)
    if freedom < 1:
        return None
    return Spread(math.sqrt(sum(map(squares, groups)) / freedom), freedom)


def squares(values: Sequence[float]) -> float:
    """Return the sum of squares of some values around their mean."""
    centre = sum(values) / len(values) if values else 0.0
    return sum((value - centre) ** 2 for value in values)


def _lines(values: pd.DataFrame) -> "zip[tuple[int, int, int, float]]":
    return zip(*(values[name].tolist() for name in ("entry", "row", "column", "value")), strict=True)


def _units(by_seed: Mapping[int | None, Mapping[int, Sequence[float]]]) -> tuple[Unit, ...]:
    units = [_unit(seed, runs) for seed, runs in by_seed.items()]
    return tuple(sorted(units, key=lambda unit: -1 if unit.seed is None else unit.seed))


def _unit(seed: int | None, runs: Mapping[int, Sequence[float]]) -> Unit:
    values = {run: sum(runs[run]) / len(runs[run]) for run in sorted(runs)}
    return Unit(seed, values, sum(values.values()) / len(values))
