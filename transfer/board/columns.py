"""The columns of the leaderboard: which numbers may stand below each other, and under which heading."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pretrain.core.settings import digest
from transfer.metrics import Metric, metric, position
from transfer.record import Data, Probe, RunRecord
from transfer.tasks import TASKS

REPRESENTATION = "representation"
"""The task whose columns are measures of the representation."""
NO_PROBE = "none"
"""The probe that adds no augmentation; any other makes a protocol of its own, `representation@PROBE`."""
PUBLISHED = "{}"
"""What is changed of the published protocol, as JSON."""
ABSENT = "–"
"""The value of a setting that is as published."""
LONGEST = 24
"""Characters that a heading has for what tells it from others of its name."""
PROBED = f"{REPRESENTATION}@"


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
    """The heading over one group of columns, and what its numbers were measured with."""

    key: ProtocolKey
    heading: str
    """The protocol's name, what tells it from others of that name (or `#2`), `*` where it isn't the published protocol."""
    changed: dict[str, Any]
    data: Data | None
    """None where nothing was measured yet."""
    schedules: tuple[str, ...]
    notes: tuple[str, ...]
    """What its records say a reader must know."""
    probe: Probe | None = None
    """The augmentation that a representation was measured under."""

    @property
    def id(self) -> str:
        """Return six hex digits that name it in any set of records."""
        return digest(list(self.key))[:6]


@dataclass(frozen=True)
class Column:
    """One metric under one protocol."""

    index: int
    """Its index in `Leaderboard.columns`."""
    protocol: Protocol
    name: str
    """Name of the metric."""

    @property
    def metric(self) -> Metric:
        """Look up how to read the numbers."""
        return metric(self.name)

    @property
    def probe(self) -> str:
        """Name the probe of a measure of the representation under an augmentation; empty for every other column."""
        protocol = self.protocol.key.protocol
        return protocol.removeprefix(PROBED) if protocol.startswith(PROBED) else ""

    @property
    def of_representation(self) -> bool:
        """Whether it is a measure of the representation, and not of a task."""
        return self.protocol.key.task == REPRESENTATION

    @property
    def of_base_representation(self) -> bool:
        """Whether it is a measure of the representation under the base pipeline alone."""
        return self.of_representation and not self.probe


def columns(records: Sequence[RunRecord]) -> tuple[Column, ...]:
    """Make the columns of some records, whatever their order: by task, the published protocol before its variants."""
    groups: dict[ProtocolKey, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[protocol_key(record)].append(record)
    ordered = sorted(groups, key=_protocol_order)
    made: list[Column] = []
    for key in ordered:
        protocol = _protocol(key, groups[key], ordered)
        names = {name for record in groups[key] for name in record.metrics}
        for name in sorted(names, key=position):
            made.append(Column(len(made), protocol, name))
    return tuple(made)


def with_protocols(columns: Sequence[Column], more: Mapping[ProtocolKey, Sequence[str]]) -> tuple[Column, ...]:
    """Add the columns of protocols that nothing ran under behind the others, and number headings anew.

    Args:
        columns: Those of what ran.
        more: Protocol → names of its metrics.
    """
    known = {column.protocol.key: column.protocol for column in columns}
    new = sorted(more.keys() - known.keys(), key=_protocol_order)
    every = sorted([*known, *new], key=_protocol_order)
    protocols = {key: dataclasses.replace(protocol, heading=_heading(key, every)) for key, protocol in known.items()}
    protocols |= {key: _protocol(key, [], every) for key in new}
    named = [(column.protocol.key, column.name) for column in columns]
    named += [(key, name) for key in new for name in sorted(more[key], key=position)]
    return tuple(Column(index, protocols[key], name) for index, (key, name) in enumerate(named))


def protocol_key(record: RunRecord) -> ProtocolKey:
    """Return what a record's numbers are comparable by."""
    changed = json.dumps(record.changed, sort_keys=True)
    data = record.data
    return ProtocolKey(record.task, record.protocol, record.version, changed, record.engine, data.name, data.fingerprint)


def _protocol_order(key: ProtocolKey) -> tuple[Any, ...]:
    """Sort by the tasks' table, others after it; the published protocol before its variants."""
    tasks = list(TASKS)
    return (tasks.index(key.task) if key.task in TASKS else len(tasks), key.task, key.changed != PUBLISHED, key)


def _name(key: ProtocolKey) -> str:
    """Name the protocol `TASK@SCHEDULE` where a task has several published schedules, else by its task."""
    return key.protocol if key.protocol.startswith(f"{key.task}@") else key.task


def _heading(key: ProtocolKey, every: Sequence[ProtocolKey]) -> str:
    """Write what stands over a protocol's columns; `every` are the keys of all of them, in their order."""
    alike = [other for other in every if (_name(other), _star(other)) == (_name(key), _star(key))]
    if len(alike) == 1:
        return _name(key) + _star(key)
    return f"{_name(key)} {_difference(key, alike) or f'#{alike.index(key) + 1}'}{_star(key)}"


def _star(key: ProtocolKey) -> str:
    return "" if key.changed == PUBLISHED else "*"


def _difference(key: ProtocolKey, alike: Sequence[ProtocolKey]) -> str:
    """Say in what a protocol differs from those of its name, by the first thing that tells all of them apart; empty where
    none does, or not in a few words.
    """
    said = [_particulars(other) for other in alike]
    for thing in dict.fromkeys(name for each in said for name in each):
        words = [each.get(thing, f"{thing} {ABSENT}") for each in said]
        if len(set(words)) == len(words) and all(len(each) <= LONGEST for each in words):
            return words[alike.index(key)]
    return ""


def _particulars(key: ProtocolKey) -> dict[str, str]:
    """Say what a heading could tell a protocol by: its data, its engine, its version, and each setting that was changed."""
    changed = {name: f"{name} {json.dumps(value).strip(chr(34))}" for name, value in json.loads(key.changed).items()}
    return {"data": key.data, "engine": key.engine, "version": f"version {key.version}", **changed}


def _protocol(key: ProtocolKey, records: Sequence[RunRecord], every: Sequence[ProtocolKey]) -> Protocol:
    """Describe the protocol of some records; `every` are the keys of all protocols, in their order."""
    schedules = tuple(dict.fromkeys(record.schedule for record in records if record.schedule))
    notes = tuple(dict.fromkeys(note for record in records for note in record.notes))
    first = records[0] if records else None
    data, probe = (first.data, first.probe) if first else (None, None)
    return Protocol(key, _heading(key, every), json.loads(key.changed), data, schedules, notes, probe)
