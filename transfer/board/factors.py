"""Compute how much of a metric's variance each factor of a pre-training explains, among runs of equal supervision.

A number is a unit of pre-training. Supervision is no factor: a method that needs labels and one that doesn't differ in more
than the method, so that runs of each supervision are looked at by themselves.
"""

import json
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError
from transfer.board.cells import Place
from transfer.board.columns import Column
from transfer.board.components import Design, Gap, gap
from transfer.board.last_epochs import Seeds, last_epochs
from transfer.board.leaderboard import Leaderboard, RowKey

REPETITIONS = 6
"""Pre-trainings beyond the first of their kind that a comparison takes, so that there is something to draw from."""
FACTORS = ("aug", "method", "pipeline", "arch", "data", "epochs", "settings")
PIPELINE = ("recipe.pipeline", "recipe.pipeline_options", "recipe.key_pipeline_options")
"""The settings that are the base pipeline's."""


@dataclass(frozen=True)
class Contribution:
    """What one factor explains."""

    fraction: float
    """Fraction of the total sum of squares that it alone explains, 0 to 1."""
    p: float | None
    """p-value of the F test of leaving the factor out; None where it can't be told from other factors."""
    levels: int
    component: float | None = None
    """Variance over its levels, in the metric's unit squared, error taken off; None without repetitions."""


@dataclass(frozen=True)
class Explained:
    """The variance of one column among the runs of one supervision, by factor."""

    column: int
    """Index of the column."""
    supervision: str
    label_fraction: float | None
    units: int
    """Pre-trainings."""
    repetitions: int
    """Those beyond the first of their kind."""
    contributions: Mapping[str, Contribution]
    """Factor → what it explains; only factors that vary."""
    residual: float
    """Fraction that no factor explains: seeds, and what isn't additive."""
    gap: Gap | None
    """The component of the augmentation minus that of the method; None where they can't be compared."""

    @property
    def shared(self) -> float:
        """Return the fraction that can't be attributed: some factor explains it, and it can't be told which."""
        return max(1 - self.residual - sum(one.fraction for one in self.contributions.values()), 0.0)


def explained(board: Leaderboard) -> tuple[Explained, ...]:
    """Explain every headline column of a task among runs of equal supervision that vary in augmentation or method."""
    made = []
    trained = _trained(board)
    for column in _columns(board):
        groups: dict[tuple[str, float | None], list[tuple[RowKey, float]]] = defaultdict(list)
        for row in trained:
            key = board.rows[row].key
            groups[key.supervision, key.label_fraction] += [
                (key, unit.mean) for unit in board.units.get((row, column.index), ())
            ]
        for group in groups.values():
            found = variance(column.index, [key for key, _ in group], [value for _, value in group])
            if found is not None and {"aug", "method"} & found.contributions.keys():
                made.append(found)
    return tuple(made)


def places(board: Leaderboard, planned: Seeds | None = None) -> frozenset[Place]:
    """List the rows and columns that `explained` is about, with a number or without; what is planned counts as run."""
    groups: dict[tuple[str, float | None], list[int]] = defaultdict(list)
    for row in _trained(board, planned):
        key = board.rows[row].key
        groups[key.supervision, key.label_fraction].append(row)
    varied = [row for group in groups.values() if _vary([board.rows[row].key for row in group]) for row in group]
    return frozenset((row, column.index) for row in varied for column in _columns(board))


def _vary(keys: Sequence[RowKey]) -> bool:
    """Whether rows differ in augmentation or method."""
    return len({(key.aug, key.augmentation) for key in keys}) > 1 or len({(key.method, key.method_version) for key in keys}) > 1


def _trained(board: Leaderboard, planned: Seeds | None = None) -> list[int]:
    return last_epochs(board, [index for index, row in enumerate(board.rows) if not row.baseline], planned)


def _columns(board: Leaderboard) -> list[Column]:
    """List the headline columns of tasks."""
    return [column for column in board.columns if column.metric.headline and not column.of_representation]


def variance(column: int, keys: Sequence[RowKey], values: Sequence[float]) -> Explained | None:
    """Explain N numbers; None where no factor varies, all numbers are equal, or no degree of freedom is left to test with."""
    y = np.asarray(values, dtype=float)
    if len(y) < 2 or np.ptp(y) == 0:
        return None
    made = design(keys)
    if not made.factors or made.freedom == 0:
        return None
    total = float(((y - y.mean()) ** 2).sum())
    error = float(made.error(y)) if made.repetitions else None
    contributions = {
        name: Contribution(
            float(factor.gain(y)) / total,
            made.p(name, y),
            factor.levels,
            float(factor.component(y, error)) if error is not None and factor.separable else None,
        )
        for name, factor in made.factors.items()
    }
    compared = made.repetitions >= REPETITIONS and all(name in contributions for name in ("aug", "method"))
    compared = compared and all(contributions[name].p is not None for name in ("aug", "method"))
    return Explained(
        column,
        keys[0].supervision,
        keys[0].label_fraction,
        len(y),
        made.repetitions,
        contributions,
        made.residual(y) / total,
        gap(made, y, "aug", "method") if compared else None,
    )


def design(keys: Sequence[RowKey]) -> Design:
    """Make the design of numbers from the keys of their rows."""
    several = len({key.method for key in keys}) > 1
    levels = [_levels(key, several) for key in keys]
    return Design.of({name: [of[name] for of in levels] for name in FACTORS})


@cache
def _levels(key: RowKey, several: bool) -> dict[str, Hashable]:
    """Return the level of each factor in a row; `several` says whether there are other methods."""
    changed = json.loads(key.changed)
    pipeline = {name: changed.pop(name, None) for name in PIPELINE}
    if several:  # looking up a method imports torch, which takes longer than most reports
        pipeline[PIPELINE[0]] = pipeline[PIPELINE[0]] or _published_pipeline(key.method)
    return {
        "aug": (key.aug, key.augmentation),
        "method": (key.method, key.method_version),
        "pipeline": json.dumps(pipeline, sort_keys=True),
        "arch": key.arch,
        "data": (key.data, key.data_fingerprint),
        "epochs": key.epochs,
        "settings": json.dumps(changed, sort_keys=True),
    }


@cache
def _published_pipeline(method: str) -> str:
    """Name the base pipeline of a method's published recipe; for a method that isn't known here, one of its own."""
    try:
        return PretrainConfig.published(method).recipe.pipeline
    except ConfigError:
        return f"that of {method}"
