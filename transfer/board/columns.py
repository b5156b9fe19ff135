"""The columns of the leaderboard: which numbers may stand below each other, and under which heading."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pretrain.core.settings import digest
from transfer.board.metrics import Metric, metric, position
from transfer.record import Data, Probe, RunRecord
from transfer.tasks import TASKS


class ProtocolKey(NamedTuple):
    """What makes two numbers comparable."""

    task: str
    protocol: str
    version: int
    changed: str
    """JSON with sorted keys; `{}` for the published protocol."""
    engine: str
    data: str
    fingerprint: str


@dataclass(frozen=True)
class Protocol:
    """The head over one group of columns."""

    key: ProtocolKey
    heading: str
    """The protocol's name, `#2` if it has several groups, `*` where it isn't the published protocol."""
    changed: dict[str, Any]
    data: Data
    schedules: tuple[str, ...]
    notes: tuple[str, ...]
    """What its records say a reader must know."""
    probe: Probe | None = None
    """The augmentation that a representation was measured under."""

    @property
    def id(self) -> str:
        """Six hex digits that name it in any set of records."""
        return digest(list(self.key))[:6]


@dataclass(frozen=True)
class Column:
    """One metric under one protocol."""

    protocol: Protocol
    name: str
    """Name of the metric."""

    @property
    def metric(self) -> Metric:
        """How to show it."""
        return metric(self.name)

    @property
    def probe(self) -> str:
        """For a measure of the representation under an augmentation: which; empty for every other column."""
        key = self.protocol.key
        return key.protocol.removeprefix(f"{REPRESENTATION}@") if key.protocol.startswith(f"{REPRESENTATION}@") else ""


REPRESENTATION = "representation"
"""The task whose columns are measures of the representation."""
NO_PROBE = "none"
"""The probe that adds no augmentation; any other makes a protocol of its own, `representation@PROBE`."""


def columns(records: Sequence[RunRecord]) -> tuple[Column, ...]:
    """The columns of some records, whatever their order: by task, the published protocol before its variants."""
    groups: dict[ProtocolKey, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[protocol_key(record)].append(record)
    ordered = sorted(groups, key=_protocol_order)
    made = []
    for key in ordered:
        protocol = _protocol(key, groups[key], [other for other in ordered if _name(other) == _name(key)])
        names = {name for record in groups[key] for name in record.metrics}
        made += [Column(protocol, name) for name in sorted(names, key=position)]
    return tuple(made)


def protocol_key(record: RunRecord) -> ProtocolKey:
    """What a record's numbers are comparable by."""
    changed = json.dumps(record.changed, sort_keys=True)
    data = record.data
    return ProtocolKey(record.task, record.protocol, record.version, changed, record.engine, data.name, data.fingerprint)


def _protocol_order(key: ProtocolKey) -> tuple[Any, ...]:
    """The order of the tasks' table, others after it; the published protocol before its variants."""
    tasks = list(TASKS)
    return (tasks.index(key.task) if key.task in TASKS else len(tasks), key.task, key.changed != "{}", key)


def _name(key: ProtocolKey) -> str:
    """`TASK@SCHEDULE` where a task has several published schedules, else the task's name."""
    return key.protocol if key.protocol.startswith(f"{key.task}@") else key.task


def _protocol(key: ProtocolKey, records: Sequence[RunRecord], of_task: Sequence[ProtocolKey]) -> Protocol:
    number = f" #{of_task.index(key) + 1}" if len(of_task) > 1 else ""
    changed = json.loads(key.changed)
    schedules = tuple(dict.fromkeys(record.schedule for record in records if record.schedule))
    notes = tuple(dict.fromkeys(note for record in records for note in record.notes))
    heading = _name(key) + number + "*" * bool(changed)
    return Protocol(key, heading, changed, records[0].data, schedules, notes, records[0].probe)
