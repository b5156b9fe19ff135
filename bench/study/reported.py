"""A study as the leaderboard shows it: every cell in the row and under the columns that its record has, or will have.

A cell without a record stands where a record of a like cell stands, of another seed; without one, where its settings say.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.study.cells import CONVERT, Cell, Subject
from bench.study.data import part
from bench.study.evaluations import RANDOM
from bench.study.states import Look, State
from bench.verbs import pretrain_settings
from pretrain import describe
from pretrain.config import PretrainConfig
from pretrain.core.settings import digest
from pretrain.provenance import Provenance
from transfer import tasks
from transfer.board import planned
from transfer.board.claims.blocks import MEASURES
from transfer.board.columns import ProtocolKey, protocol_key
from transfer.board.leaderboard import RowKey, row_key, row_of
from transfer.board.planned import PlannedRun
from transfer.record import RunRecord
from transfer.sources.addresses.random import untrained

REPORTED: dict[State, planned.State] = {
    State.DONE: "done",
    State.RUNNING: "running",
    State.READY: "to do",
    State.WAITING: "to do",
    State.FAILED: "failed",
    State.IMPOSSIBLE: "impossible",
}
"""State of a cell → what a report calls it."""


def runs(look: Look, done: Mapping[str, RunRecord]) -> list[PlannedRun]:
    """Say where on the leaderboard every cell of a study stands.

    Args:
        look: The study.
        done: Id of a cell that is done → its record.
    """
    places = _Places(look.plan.cells)
    for key, record in done.items():
        places.learn(look.plan.cells[key], record)
    return [
        places.run(cell, REPORTED[look.states[cell.id]], done.get(cell.id))
        for cell in look.plan.cells.values()
        if cell.kind != CONVERT
    ]


@dataclass
class _Places:
    """The rows and protocols of cells, from the records of like cells."""

    cells: Mapping[str, Cell]
    _rows: dict[str, RowKey] = field(default_factory=dict)
    _protocols: dict[str, ProtocolKey] = field(default_factory=dict)
    _trained_on: dict[str, str | None] = field(default_factory=dict)
    """Part of the data → its fingerprint, as a row has it; `_measured_on`: as a column has it."""
    _measured_on: dict[str, str] = field(default_factory=dict)

    def learn(self, cell: Cell, record: RunRecord) -> None:
        """Remember where a record stands."""
        row = row_key(record)
        self._rows[self._family(cell)] = row
        if cell.subject is None:
            self._trained_on[part(cell, any_seed=True)] = row.data_fingerprint
        else:
            self._protocols[_what(cell)] = protocol_key(record)
            self._measured_on[part(cell)] = record.data.fingerprint

    def run(self, cell: Cell, state: planned.State, record: RunRecord | None) -> PlannedRun:
        """Say where a cell stands."""
        if record is not None:
            protocol = None if cell.subject is None else protocol_key(record)
            return PlannedRun(row_key(record), protocol, (), record.checkpoint.provenance.seed, state)
        family = self._family(cell)
        if family not in self._rows:
            self._rows[family] = self._row(cell)
        return PlannedRun(self._rows[family], self._protocol(cell), _metrics(cell), self._seed(cell), state)

    def _pretraining(self, cell: Cell) -> Cell | None:
        """The cell that makes a cell's backbone, which may be itself; None where it is made elsewhere, or converted."""
        if cell.subject is None:
            return cell
        made = None if cell.subject.pretraining is None else self.cells[cell.subject.pretraining]
        return None if made is None or made.kind == CONVERT else made

    def _family(self, cell: Cell) -> str:
        """What cells of one row have in common."""
        made = self._pretraining(cell)
        if made is None:
            return _subject(cell).key
        epoch = None if cell.subject is None else cell.subject.epoch
        said = _without_seed(made.says)
        said["changed"].pop("recipe.epochs", None)  # where the iterations are kept, they are those of a seed's own images
        return digest([said, made.epochs, part(made, any_seed=True), made.resource.devices, epoch])

    def _row(self, cell: Cell) -> RowKey:
        """The row that a cell's settings say."""
        made = self._pretraining(cell)
        if made is None:
            return row_of(_elsewhere(_subject(cell)))
        settings: PretrainConfig = made.settings
        came = describe.provenance(
            settings,
            data=Path(made.data).name,
            fingerprint="",
            labelled=1.0,
            processes=made.resource.devices,
            drawn=pretrain_settings.drawn(settings, None),
        ).replace({"label_fraction": settings.labels_used})
        epoch = None if cell.subject is None else cell.subject.epoch
        row = row_of(came if epoch is None else came.after(epoch))
        return row._replace(data_fingerprint=self._trained_on.get(part(made, any_seed=True)))

    def _protocol(self, cell: Cell) -> ProtocolKey | None:
        if cell.subject is None:
            return None
        known, says = self._protocols.get(_what(cell)), cell.says
        if known is not None:
            return known
        changed = json.dumps(says["changed"], sort_keys=True)
        data, fingerprint = Path(cell.data).name, self._measured_on.get(part(cell), "")
        return ProtocolKey(cell.values["task"], says["protocol"], says["version"], changed, says["engine"], data, fingerprint)

    def _seed(self, cell: Cell) -> int | None:
        made = self._pretraining(cell)
        return _elsewhere(_subject(cell)).seed if made is None else made.settings.seed


def _without_seed(says: Mapping[str, Any]) -> dict[str, Any]:
    changed = {name: value for name, value in says["changed"].items() if name != "seed"}
    return json.loads(json.dumps({**says, "changed": changed, "seed": None}))


def _what(cell: Cell) -> str:
    """What cells of one protocol have in common."""
    return digest([_without_seed(cell.says), part(cell)])


def _metrics(cell: Cell) -> tuple[str, ...]:
    if cell.kind == "pretrain":
        return ()
    return MEASURES if cell.kind == "measure" else tasks.get(cell.values["task"]).metrics


def _subject(cell: Cell) -> Subject:
    assert cell.subject is not None  # only a pre-training has none
    return cell.subject


def _elsewhere(subject: Subject) -> Provenance:
    """Where a backbone that the study doesn't make came from, before any of its records says so."""
    scheme, _, rest = subject.key.partition(":")
    if scheme == RANDOM:
        arch, _, seed = rest.partition(":")
        return untrained(arch, int(seed))
    return Provenance(method=subject.name, arch="unknown")
