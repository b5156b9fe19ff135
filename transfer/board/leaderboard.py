"""Records → leaderboard, pure functions: one row per pre-training, one column per task, protocol and metric.

A column's identity is task, protocol, version, what was changed, engine and data, so rows that were measured
differently never share one. Repetitions over seeds are pooled into one cell.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from transfer.board import cost
from transfer.board.columns import Column, Protocol, protocol_key
from transfer.board.columns import columns as columns_of
from transfer.board.cost import Cost
from transfer.record import RunRecord

GENERATED = "shapes"
"""Name of the generated data, whose numbers compare with no paper."""
Seeds = tuple[int | None, int]
"""Seed of the pre-training (None: unknown) and of the run."""
SUPERVISIONS = ("none", "self", "semi", "full", "unknown")
"""The order of the rows."""


@dataclass(frozen=True)
class Entry:
    """A record and where it lies."""

    path: Path
    """Its `result.json`."""
    record: RunRecord


@dataclass(frozen=True)
class Conflict:
    """Two records of one identity that disagree; the newer is kept."""

    kept: Entry
    dropped: Entry
    metrics: tuple[str, ...]
    """The metrics that differ."""


class RowKey(NamedTuple):
    """What makes one row: a pre-training without its seed. The last four are shown only where they tell rows apart."""

    method: str
    aug: str
    supervision: str
    label_fraction: float | None
    arch: str
    data: str
    epochs: float | None
    data_fingerprint: str | None
    augmentation: str
    """What differs from the published recipe and is the augmentation's own: JSON with sorted keys."""
    changed: str
    """Everything else that differs from it, likewise."""
    file: str | None
    """Hash of the checkpoint where its seed is unknown: such files can't be taken for repetitions of each other."""


VISIBLE = RowKey._fields.index("data_fingerprint")
"""Number of fields of a key that are always shown."""


@dataclass(frozen=True)
class Row:
    """One pre-training."""

    key: RowKey
    variant: str
    """What tells it from a row with the same visible fields; empty where there is none."""
    cost: Cost | None
    """What one pre-training takes, mean over repetitions; None where no record of it was given."""
    entries: tuple[int, ...]
    """Records of the pre-training itself: places in `Leaderboard.entries`."""

    @property
    def baseline(self) -> bool:
        """Whether it is an untrained backbone."""
        return self.key.method == "random"


@dataclass(frozen=True)
class Cell:
    """The pooled repetitions of one row under one column."""

    mean: float | None
    """None where every run said it could not be computed."""
    std: float | None
    """Sample standard deviation (divisor n − 1); None for n < 2."""
    n: int
    """Numbers pooled: runs over all seeds, of the pre-training and of the transfer."""
    best: bool
    """Whether it is the best of its column, to the digits shown."""
    entries: tuple[int, ...]
    """The runs: places in `Leaderboard.entries`."""


@dataclass(frozen=True)
class Leaderboard:
    """Everything a rendering needs."""

    entries: tuple[Entry, ...]
    rows: tuple[Row, ...]
    """Untrained backbones first."""
    columns: tuple[Column, ...]
    """Those of one protocol stand together."""
    values: pd.DataFrame
    """One line per number of a record: `entry`, `row`, `column` (places in the tuples), `value` (NaN for null)."""
    conflicts: tuple[Conflict, ...] = field(default=())

    @cached_property
    def cells(self) -> dict[tuple[int, int], Cell]:
        """(row, column) → cell; a pair without a run is not in it."""
        return _cells(self.values, self.columns)

    @cached_property
    def samples(self) -> dict[tuple[int, int], dict[Seeds, float]]:
        """(row, column) → seeds of the pre-training and of the run → number; without those that could not be computed."""
        found: dict[tuple[int, int], dict[Seeds, float]] = defaultdict(dict)
        values = self.values.dropna()
        lines = zip(*(values[name].tolist() for name in ("entry", "row", "column", "value")), strict=True)
        for entry, row, column, value in lines:
            record = self.entries[entry].record
            found[row, column][record.checkpoint.provenance.seed, record.seed] = value
        return dict(found)

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """In the order of the columns."""
        return tuple({column.protocol.key: column.protocol for column in self.columns}.values())

    @property
    def generated(self) -> bool:
        """Whether any number has to do with generated data."""
        rows = any(row.key.data == GENERATED for row in self.rows)
        return rows or any(protocol.data.name == GENERATED for protocol in self.protocols)


def leaderboard(entries: Iterable[Entry]) -> Leaderboard:
    """The leaderboard of some records, whatever their order."""
    kept, conflicts = newest(entries)
    row_keys = [_row_key(entry.record) for entry in kept]
    rows = _rows(kept, row_keys)
    measured = [place for place, entry in enumerate(kept) if entry.record.kind != "pretrain"]
    columns = columns_of([kept[place].record for place in measured])
    row_at = {row.key: place for place, row in enumerate(rows)}
    column_at = {(column.protocol.key, column.name): place for place, column in enumerate(columns)}
    lines = [
        (place, row_at[row_keys[place]], column_at[key, name], math.nan if value is None else value)
        for place in measured
        for key in [protocol_key(kept[place].record)]
        for name, value in kept[place].record.metrics.items()
    ]
    values = pd.DataFrame(lines, columns=["entry", "row", "column", "value"])
    return Leaderboard(tuple(kept), rows, columns, values.astype({"value": float}), conflicts)


def newest(entries: Iterable[Entry]) -> tuple[list[Entry], tuple[Conflict, ...]]:
    """The newest record of every identity, by path, and the older ones that disagree with it."""
    same: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        same[entry.record.identity].append(entry)
    kept, conflicts = [], []
    for group in same.values():
        last, *older = sorted(group, key=lambda entry: (entry.record.finished, str(entry.path)), reverse=True)
        kept.append(last)
        for entry in older:
            if differing := _differing(last.record.metrics, entry.record.metrics):
                conflicts.append(Conflict(last, entry, differing))
    return sorted(kept, key=lambda entry: str(entry.path)), tuple(conflicts)


def _differing(new: dict[str, float | None], old: dict[str, float | None]) -> tuple[str, ...]:
    def equal(name: str) -> bool:
        a, b = new.get(name), old.get(name)
        return a is b if a is None or b is None else math.isclose(a, b, abs_tol=1e-6)

    return tuple(name for name in sorted(new.keys() | old.keys()) if not equal(name))


def _row_key(record: RunRecord) -> RowKey:
    came = record.checkpoint.provenance
    file = record.checkpoint.sha256[:12] if came.seed is None else None
    visible = (came.method, came.aug, came.supervision, came.label_fraction, came.arch, came.data, came.epochs)
    augmentation, changed = (json.dumps(part, sort_keys=True) for part in (came.augmentation, came.changed))
    return RowKey(*visible, came.data_fingerprint, augmentation, changed, file)


def _rows(entries: Sequence[Entry], keys: Sequence[RowKey]) -> tuple[Row, ...]:
    made: dict[RowKey, list[int]] = {key: [] for key in keys}
    for place, (entry, key) in enumerate(zip(entries, keys, strict=True)):
        if entry.record.kind == "pretrain":
            made[key].append(place)
    alike: dict[tuple[Any, ...], list[RowKey]] = defaultdict(list)
    for key in made:
        alike[key[:VISIBLE]].append(key)
    return tuple(
        Row(
            key,
            _variant(key, alike[key[:VISIBLE]]),
            cost.mean([entries[place].record for place in made[key]]),
            tuple(made[key]),
        )
        for key in sorted(made, key=_row_order)
    )


def _row_order(key: RowKey) -> tuple[Any, ...]:
    """Untrained first; then what was trained on, by which method and labels; plain augmentation before the others."""
    labels = (SUPERVISIONS.index(key.supervision), -1.0 if key.label_fraction is None else key.label_fraction)
    epochs = -1.0 if key.epochs is None else key.epochs
    hidden = tuple(str(part) for part in key[VISIBLE:])
    return (key.method != "random", key.arch, key.data, key.method, *labels, key.aug != "none", key.aug, epochs, hidden)


def _variant(key: RowKey, alike: Sequence[RowKey]) -> str:
    """Say in what a key differs from others with the same visible fields; empty where it is alone."""
    words = []
    if len({other.data_fingerprint for other in alike}) > 1:
        words.append(f"data fingerprint {key.data_fingerprint or 'unknown'}"[:29])
    for part in ("augmentation", "changed"):
        words += _differing_settings(getattr(key, part), [getattr(other, part) for other in alike])
    if len({other.file for other in alike}) > 1:
        words.append(f"file {key.file or 'unknown'}")
    return ", ".join(words)


def _differing_settings(mine: str, all_of_them: Sequence[str]) -> list[str]:
    """The settings, in words, in which some of several differ; what one of them doesn't name is as published."""
    plain = [json.loads(text) for text in all_of_them]
    names = sorted({name for settings in plain for name in settings})
    differing = [name for name in names if len({json.dumps(settings.get(name)) for settings in plain}) > 1]
    own = json.loads(mine)
    return [f"{name} {own[name]}" if name in own else f"{name} as published" for name in differing]


def _cells(values: pd.DataFrame, columns: Sequence[Column]) -> dict[tuple[int, int], Cell]:
    groups = values.groupby(["row", "column"], sort=False)
    table = groups["value"].agg(["mean", "std", "count"])
    entries: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, column, entry in zip(*(values[name].tolist() for name in ("row", "column", "entry")), strict=True):
        entries[row, column].append(entry)
    table["best"] = _best(table, columns)
    lines = table[["mean", "std", "count", "best"]].itertuples(name=None)
    return {
        place: Cell(mean if n else None, std if n > 1 else None, n, best, tuple(entries[place]))
        for place, mean, std, n, best in lines
    }


def _best(table: pd.DataFrame, columns: Sequence[Column]) -> pd.Series:
    """Which means are the best of their column, to the digits shown; none where fewer than two rows have a number."""
    place = table.index.get_level_values("column").to_numpy(dtype=int)
    sign = np.array([column.metric.sign for column in columns], dtype=float)[place]
    digits = np.array([column.metric.digits for column in columns], dtype=int)[place]
    scale = 10.0**digits
    score = pd.Series(np.rint(table["mean"].to_numpy() * scale) / scale * sign, index=table.index)
    by_column = score.groupby(level="column")
    return (score == by_column.transform("max")) & (by_column.transform("count") > 1) & (sign != 0)
