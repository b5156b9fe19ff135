"""Turn records into units of pre-training, and find each row's control: what every verdict of the report counts.

An augmentation is applied to a pre-training, so that a pre-training is what an experiment on augmentations repeats.
Fine-tuning one checkpoint again and again measures that checkpoint better, and says nothing of another pre-training; such
repetitions are averaged first (Hurlbert 1984 on pseudo-replication; Bouthillier et al. 2021, arXiv 2103.03098, on the
sources of variance of a benchmark). A file whose seed is unknown is a row of its own, with one unit.
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transfer.board.leaderboard import Leaderboard, Row, RowKey

CONTROL = "none"
"""The augmentation that is none."""
SHARED = ("method", "supervision", "label_fraction", "arch", "data", "epochs", "data_fingerprint")
"""Fields that a row and its control share; with the settings in `changed`."""


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
    freedom: int


@dataclass(frozen=True)
class Control:
    """What a row with an augmentation is compared with."""

    row: int | None
    """Index of the control's row; None where no row shares every setting but the augmentation's own."""
    nearest: int | None = None
    """Without a control: the row without augmentation that differs in the fewest fields; None where there is no such row."""
    differing: tuple[str, ...] = ()
    """Names of the fields in which the nearest row differs."""


def units(board: Leaderboard) -> Mapping[tuple[int, int], tuple[Unit, ...]]:
    """Average the numbers of each row and column over run seeds: (row, column) → one unit per pre-training, by seed.

    Numbers that could not be computed are left out. Two files of one seed are one unit: they drew the same numbers.
    """
    found: dict[tuple[int, int], dict[int | None, dict[int, list[float]]]] = {}
    seeds = [(entry.record.checkpoint.provenance.seed, entry.record.seed) for entry in board.entries]
    for entry, row, column, value in zip(*(board.values[name].tolist() for name in board.values), strict=True):
        if not math.isnan(value):
            seed, run = seeds[entry]
            found.setdefault((row, column), {}).setdefault(seed, {}).setdefault(run, []).append(value)
    return {cell: tuple(_unit(seed, by_seed[seed]) for seed in sorted(by_seed, key=_order)) for cell, by_seed in found.items()}


def _unit(seed: int | None, runs: Mapping[int, Sequence[float]]) -> Unit:
    values = {run: sum(same) / len(same) for run, same in sorted(runs.items())}
    return Unit(seed, values, sum(values.values()) / len(values))


def _order(seed: int | None) -> int:
    return -1 if seed is None else seed


def between(of: Sequence[Unit]) -> Spread | None:
    """Return the spread of the units' means over pre-trainings; None for fewer than two."""
    return _spread([[unit.mean for unit in of]])


def within(of: Sequence[Unit]) -> Spread | None:
    """Return the spread over run seeds within pre-trainings, pooled over them; None where no unit has two runs."""
    return _spread([list(unit.values.values()) for unit in of])


def _spread(groups: Sequence[Sequence[float]]) -> Spread | None:
    """Pool the variance of groups around their own means."""
    freedom = sum(len(group) - 1 for group in groups if group)
    if freedom < 1:
        return None
    squares = sum((value - sum(group) / len(group)) ** 2 for group in groups for value in group)
    return Spread(math.sqrt(squares / freedom), freedom)


def controls(board: Leaderboard) -> Mapping[int, Control]:
    """Find the control of every trained row with an augmentation: row → control."""
    plain: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(board.rows):
        if not row.baseline and row.key.aug == CONTROL:
            plain[_shared(row.key)].append(index)
    settings = {index: _settings(board.rows[index].key) for same in plain.values() for index in same}
    augmented = [index for index, row in enumerate(board.rows) if not row.baseline and row.key.aug != CONTROL]
    return {index: _control(board.rows, index, plain.get(_shared(board.rows[index].key), []), settings) for index in augmented}


def _control(rows: Sequence[Row], index: int, alike: Sequence[int], settings: Mapping[int, Mapping[str, Any]]) -> Control:
    """Choose the control of a row among those that share all its settings; where there is none, name the nearest row.

    Args:
        rows: All rows.
        index: The row's.
        alike: Rows without augmentation that share its settings.
        settings: Row without augmentation → what it has to share, by name.
    """
    published = [one for one in alike if rows[one].key.file is None and rows[one].key.augmentation == "{}"]
    choice = published or list(alike)
    if len(choice) == 1:
        return Control(choice[0])
    if choice:
        return Control(None, choice[0], _ambiguous([rows[one].key for one in choice]))
    mine = _settings(rows[index].key)
    differing = {one: tuple(name for name in {**mine, **of} if mine.get(name) != of.get(name)) for one, of in settings.items()}
    nearest = min(differing, key=lambda one: len(differing[one]), default=None)
    return Control(None, nearest, () if nearest is None else differing[nearest])


def _ambiguous(keys: Sequence[RowKey]) -> tuple[str, ...]:
    """Name what tells several possible controls apart."""
    return tuple(name for name in ("augmentation", "file") if len({getattr(key, name) for key in keys}) > 1)


def _shared(key: RowKey) -> tuple[object, ...]:
    return (*(getattr(key, name) for name in SHARED), key.changed)


def _settings(key: RowKey) -> dict[str, Any]:
    """Return what a row shares with its control, each setting by its own name."""
    return {name: getattr(key, name) for name in SHARED} | json.loads(key.changed)
