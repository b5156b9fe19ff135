"""Make the leaderboard of some records: one row per pre-training, one column per task, protocol and metric.

All functions are pure. A column's identity is task, protocol, version, what was changed, engine and data, so rows that
were measured differently never share one. Repetitions over seeds are pooled into one cell.

`row` and `column` as numbers are indices into `Leaderboard.rows` and `Leaderboard.columns`, `entry` one into `entries`.
"""

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
    """What makes one row: a pre-training without its seed. The last three are shown only where they tell rows apart."""

    method: str
    aug: str
    supervision: str
    label_fraction: float | None
    arch: str
    data: str
    epochs: float | None
    data_fingerprint: str | None
    settings: str | None
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
    """Records of the pre-training itself, as indices into `Leaderboard.entries`."""

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
    """The runs, as indices into `Leaderboard.entries`."""


@dataclass(frozen=True)
class Leaderboard:
    """Everything a rendering needs."""

    entries: tuple[Entry, ...]
    rows: tuple[Row, ...]
    """Untrained backbones first."""
    columns: tuple[Column, ...]
    """Those of one protocol stand together."""
    values: pd.DataFrame
    """One line per number of a record: `entry`, `row`, `column` (indices into the tuples), `value` (NaN for null)."""
    conflicts: tuple[Conflict, ...] = field(default=())

    @cached_property
    def cells(self) -> dict[tuple[int, int], Cell]:
        """Pool the repetitions: (row, column) → cell. A pair without a run is not in it."""
        return _cells(self.values, self.columns)

    @cached_property
    def samples(self) -> dict[tuple[int, int], dict[Seeds, float]]:
        """Collect the numbers: (row, column) → seeds of the pre-training and of the run → number.

        Those that could not be computed are left out.
        """
        found: dict[tuple[int, int], dict[Seeds, float]] = defaultdict(dict)
        values = self.values.dropna()
        lines = zip(*(values[name].tolist() for name in ("entry", "row", "column", "value")), strict=True)
        for entry, row, column, value in lines:
            record = self.entries[entry].record
            found[row, column][record.checkpoint.provenance.seed, record.seed] = value
        return dict(found)

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """List the protocols in the order of the columns."""
        return tuple({column.protocol.key: column.protocol for column in self.columns}.values())

    @property
    def generated(self) -> bool:
        """Whether any number has to do with generated data."""
        rows = any(row.key.data == GENERATED for row in self.rows)
        return rows or any(protocol.data.name == GENERATED for protocol in self.protocols)


def leaderboard(entries: Iterable[Entry]) -> Leaderboard:
    """Make the leaderboard of some records, whatever their order."""
    kept, conflicts = newest(entries)
    row_keys = [_row_key(entry.record) for entry in kept]
    rows = _rows(kept, row_keys)
    columns = columns_of([entry.record for entry in kept if entry.record.kind != "pretrain"])
    row_of = {row.key: index for index, row in enumerate(rows)}
    column_of = {(column.protocol.key, column.name): column.index for column in columns}
    lines: list[tuple[int, int, int, float]] = []
    for index, (entry, row_key) in enumerate(zip(kept, row_keys, strict=True)):
        if entry.record.kind != "pretrain":
            protocol = protocol_key(entry.record)
            for name, value in entry.record.metrics.items():
                lines.append((index, row_of[row_key], column_of[protocol, name], math.nan if value is None else value))
    values = pd.DataFrame(lines, columns=["entry", "row", "column", "value"])
    return Leaderboard(tuple(kept), rows, columns, values.astype({"value": float}), conflicts)


def newest(entries: Iterable[Entry]) -> tuple[list[Entry], tuple[Conflict, ...]]:
    """Return the newest record of every identity, sorted by path, and the older ones that disagree with it."""
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
    """List the metrics that two records give differently, null and missing taken for the same."""

    def equal(name: str) -> bool:
        a, b = new.get(name), old.get(name)
        return a is b if a is None or b is None else math.isclose(a, b, abs_tol=1e-6)

    return tuple(name for name in sorted(new.keys() | old.keys()) if not equal(name))


def _row_key(record: RunRecord) -> RowKey:
    came = record.checkpoint.provenance
    file = record.checkpoint.sha256[:12] if came.seed is None else None
    visible = (came.method, came.aug, came.supervision, came.label_fraction, came.arch, came.data, came.epochs)
    return RowKey(*visible, came.data_fingerprint, came.settings, file)


def _rows(entries: Sequence[Entry], keys: Sequence[RowKey]) -> tuple[Row, ...]:
    """Make the rows of some entries with their keys, in the order in which they are shown."""
    pretrainings: dict[RowKey, list[int]] = {key: [] for key in keys}
    for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
        if entry.record.kind == "pretrain":
            pretrainings[key].append(index)
    alike: dict[tuple[Any, ...], list[RowKey]] = defaultdict(list)
    for key in pretrainings:
        alike[key[:VISIBLE]].append(key)
    rows = []
    for key, indices in pretrainings.items():
        took = cost.mean([entries[index].record for index in indices])
        rows.append(Row(key, _variant(key, alike[key[:VISIBLE]]), took, tuple(indices)))
    return tuple(sorted(rows, key=_row_order))


def _row_order(row: Row) -> tuple[Any, ...]:
    """Sort untrained first; then by data, method and labels; plain augmentation before the others."""
    key = row.key
    labels = (SUPERVISIONS.index(key.supervision), -1.0 if key.label_fraction is None else key.label_fraction)
    epochs = -1.0 if key.epochs is None else key.epochs
    hidden = tuple(str(part) for part in key[VISIBLE:])
    return (not row.baseline, key.arch, key.data, key.method, *labels, key.aug != "none", key.aug, epochs, hidden)


def _variant(key: RowKey, alike: Sequence[RowKey]) -> str:
    """The hidden fields in which keys with the same visible fields differ."""
    words = []
    for place in range(VISIBLE, len(key)):
        if len({other[place] for other in alike}) > 1:
            words.append(f"{RowKey._fields[place].replace('_', ' ')} {str(key[place] or 'unknown')[:12]}")
    return ", ".join(words)


def _cells(values: pd.DataFrame, columns: Sequence[Column]) -> dict[tuple[int, int], Cell]:
    """Pool the values of each row and column."""
    groups = values.groupby(["row", "column"], sort=False)
    table = groups["value"].agg(["mean", "std", "count"])
    entries: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, column, entry in zip(*(values[name].tolist() for name in ("row", "column", "entry")), strict=True):
        entries[row, column].append(entry)
    table["best"] = _best(table, columns)
    lines = table[["mean", "std", "count", "best"]].itertuples(name=None)
    return {
        pair: Cell(mean if n else None, std if n > 1 else None, n, best, tuple(entries[pair]))
        for pair, mean, std, n, best in lines
    }


def _best(table: pd.DataFrame, columns: Sequence[Column]) -> pd.Series:
    """Tell which means are the best of their column, to the digits shown; none where fewer than two rows have a number."""
    column = table.index.get_level_values("column").to_numpy(dtype=int)
    sign = np.array([one.metric.sign for one in columns], dtype=float)[column]
    digits = np.array([one.metric.digits for one in columns], dtype=int)[column]
    scale = 10.0**digits
    score = pd.Series(np.rint(table["mean"].to_numpy() * scale) / scale * sign, index=table.index)
    by_column = score.groupby(level="column")
    return (score == by_column.transform("max")) & (by_column.transform("count") > 1) & (sign != 0)
