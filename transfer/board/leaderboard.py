"""Make the leaderboard of some records: one row per pre-training, one column per task, protocol and metric.

All functions are pure. A column's identity is task, protocol, version, what was changed, engine and data, so rows that
were measured differently never share one. Repetitions over seeds are pooled into one cell.

`row` and `column` as numbers are indices into `Leaderboard.rows` and `Leaderboard.columns`, `entry` one into `entries`.
"""

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from pretrain.provenance import Provenance
from transfer.board import cost
from transfer.board.cells import Cell, Unit, collect, pooled
from transfer.board.columns import Column, Protocol, protocol_key
from transfer.board.columns import columns as columns_of
from transfer.board.cost import Cost
from transfer.board.differing import differing
from transfer.board.entries import Conflict, Entry, newest
from transfer.record import RunRecord
from transfer.shapes import KINDS

SUPERVISIONS = ("none", "self", "semi", "full", "unknown")
"""The order of the rows."""


class RowKey(NamedTuple):
    """What makes one row: a pre-training without its seed. The last five are shown only where they tell rows apart."""

    method: str
    aug: str
    supervision: str
    label_fraction: float | None
    arch: str
    data: str
    epochs: float | None
    data_fingerprint: str | None
    method_version: int | None
    augmentation: str
    """What differs from the published recipe and is the augmentation's own: JSON with sorted keys."""
    changed: str
    """Everything else that differs from it, likewise, and `read.…`: in what the network or its input is unusual."""
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
    def units(self) -> dict[tuple[int, int], tuple[Unit, ...]]:
        """Average the numbers over run seeds: (row, column) → units. A pair without a number is not in it."""
        seeds = [(entry.record.checkpoint.provenance.seed, entry.record.seed) for entry in self.entries]
        return collect(self.values, seeds)

    @cached_property
    def cells(self) -> dict[tuple[int, int], Cell]:
        """Pool the repetitions: (row, column) → cell. A pair without a run is not in it."""
        return pooled(self.values, self.units)

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """List the protocols in the order of the columns."""
        return tuple({column.protocol.key: column.protocol for column in self.columns}.values())

    @property
    def generated(self) -> bool:
        """Whether any number has to do with generated data, which compares with no paper."""
        rows = any(row.key.data in KINDS for row in self.rows)
        return rows or any(protocol.key.data in KINDS for protocol in self.protocols)


def leaderboard(entries: Iterable[Entry]) -> Leaderboard:
    """Make the leaderboard of some records, whatever their order."""
    kept, conflicts = newest(entries)
    row_keys = [row_key(entry.record) for entry in kept]
    rows = _rows(kept, row_keys)
    columns = columns_of([entry.record for entry in kept if entry.record.kind != "pretrain"])
    place_of = {row.key: index for index, row in enumerate(rows)}
    column_of = {(column.protocol.key, column.name): column.index for column in columns}
    lines: list[tuple[int, int, int, float]] = []
    for index, (entry, key) in enumerate(zip(kept, row_keys, strict=True)):
        if entry.record.kind != "pretrain":
            protocol = protocol_key(entry.record)
            for name, value in entry.record.metrics.items():
                lines.append((index, place_of[key], column_of[protocol, name], math.nan if value is None else value))
    values = pd.DataFrame(lines, columns=["entry", "row", "column", "value"])
    return Leaderboard(tuple(kept), rows, columns, values.astype({"value": float}), conflicts)


def row_key(record: RunRecord) -> RowKey:
    """Return the row that a record's numbers stand in."""
    came = record.checkpoint.provenance
    file = record.checkpoint.sha256[:12] if came.seed is None else None
    return row_of(came, record.checkpoint.recipe)._replace(file=file)


def row_of(came: Provenance, read: Mapping[str, Any] | None = None) -> RowKey:
    """Return the row of a backbone of known seed, by where it came from and how it is read.

    Repetitions whose seeds drew other classes are of one row, that of the data which they drew from; where they kept its
    iterations, under the mean number of epochs, for it depends on how many images the classes drawn have.
    """
    unusual = {f"read.{name}": value for name, value in (read or {}).items() if name != "arch"}  # it stands above
    changed, epochs, data = {**came.changed, **unusual}, came.epochs, came.data_fingerprint
    if came.drawn is not None:
        data = came.drawn.fingerprint
        if came.drawn.epochs is not None:
            epochs = float(round(came.drawn.epochs / came.drawn.share))
            changed["keep_iterations"] = f"those of {came.drawn.epochs:g} epochs of all classes"
    visible = (came.method, came.aug, came.supervision, came.label_fraction, came.arch, came.data, epochs)
    augmentation, others = (json.dumps(part, sort_keys=True) for part in (came.augmentation, changed))
    return RowKey(*visible, data, came.method_version, augmentation, others, None)


def _rows(entries: Sequence[Entry], keys: Sequence[RowKey]) -> tuple[Row, ...]:
    """Make the rows of some entries with their keys, in the order in which they are shown."""
    pretrainings: dict[RowKey, list[int]] = {key: [] for key in keys}
    for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
        if entry.record.kind == "pretrain":
            pretrainings[key].append(index)
    variants = _variants(pretrainings)
    rows = []
    for key, indices in pretrainings.items():
        took = cost.mean([entries[index].record for index in indices])
        rows.append(Row(key, variants[key], took, tuple(indices)))
    return tuple(sorted(rows, key=_row_order))


def with_rows(rows: Sequence[Row], more: Iterable[RowKey]) -> tuple[Row, ...]:
    """Add rows that nothing ran of behind the others, and say anew in what rows with the same visible fields differ."""
    known = [row.key for row in rows]
    added = sorted((Row(key, "", None, ()) for key in {*more} - {*known}), key=_row_order)
    variants = _variants([*known, *(row.key for row in added)])
    return tuple(dataclasses.replace(row, variant=variants[row.key]) for row in (*rows, *added))


def _variants(keys: Iterable[RowKey]) -> dict[RowKey, str]:
    """Say in what each key differs from the others with the same visible fields; empty where it is alone."""
    alike: dict[tuple[Any, ...], list[RowKey]] = defaultdict(list)
    for key in keys:
        alike[key[:VISIBLE]].append(key)
    return {key: _variant(key, same) for same in alike.values() for key in same}


def _row_order(row: Row) -> tuple[Any, ...]:
    """Sort untrained first; then by data, method and labels; plain augmentation before the others."""
    key = row.key
    labels = (SUPERVISIONS.index(key.supervision), -1.0 if key.label_fraction is None else key.label_fraction)
    epochs = -1.0 if key.epochs is None else key.epochs
    hidden = tuple(str(part) for part in key[VISIBLE:])
    return (not row.baseline, key.arch, key.data, key.method, *labels, key.aug != "none", key.aug, epochs, hidden)


def _variant(key: RowKey, alike: Sequence[RowKey]) -> str:
    """Say in what a key differs from others with the same visible fields; empty where it is alone."""
    words = []
    if len({other.data_fingerprint for other in alike}) > 1:
        words.append(f"data fingerprint {key.data_fingerprint or 'unknown'}"[:29])
    if len({other.method_version for other in alike}) > 1:
        words.append(f"method version {key.method_version or 'unknown'}")
    for part in ("augmentation", "changed"):
        settings = {other: json.loads(getattr(other, part)) for other in alike}
        words += differing(settings[key], list(settings.values()), key.method, key.method_version)
    if len({other.file for other in alike}) > 1:
        words.append(f"file {key.file or 'unknown'}")
    return ", ".join(words)
