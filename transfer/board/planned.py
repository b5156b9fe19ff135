"""Lay what a study plans over the leaderboard of what ran: rows and columns without a number yet, and the runs of each cell.

Rows and columns that nothing ran of stand behind the others, so that the findings of what ran keep their indices.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from transfer.board.cells import Place
from transfer.board.claims.judge import Claim
from transfer.board.columns import ProtocolKey, with_protocols
from transfer.board.leaderboard import Leaderboard, RowKey, with_rows

State = Literal["done", "running", "failed", "impossible", "to do"]
STATES: tuple[State, ...] = ("done", "running", "failed", "impossible", "to do")


class PlannedRun(NamedTuple):
    """One run of a study, done or not."""

    row: RowKey
    protocol: ProtocolKey | None
    """None for a pre-training, which has a row and no column."""
    metrics: tuple[str, ...]
    """Names of the metrics it yields; of a protocol that something ran under, those of its records count."""
    seed: int | None
    """Seed of its pre-training."""
    state: State


class Standing(NamedTuple):
    """On how many of the planned units something stands: on pre-trainings under a column, each with a number."""

    units: int
    planned: int


@dataclass(frozen=True)
class Planned:
    """A leaderboard with what is planned of it."""

    measured: Leaderboard
    """What ran alone."""
    board: Leaderboard
    """With the rows and columns that nothing ran of."""
    runs: Mapping[Place, tuple[PlannedRun, ...]]
    """(row, column) → its runs. Every column of a protocol has the same ones."""
    pretrainings: Mapping[int, tuple[PlannedRun, ...]]
    """Row → its pre-trainings."""

    def counts(self, place: Place) -> Counter[State]:
        """Count the runs of a cell by state; none where nothing is planned."""
        return Counter(run.state for run in self.runs.get(place, ()))

    @cached_property
    def seeds(self) -> dict[int, set[int | None]]:
        """Return the seeds of each row's pre-trainings."""
        found: dict[int, set[int | None]] = {}
        for (row, _), runs in self.runs.items():
            found.setdefault(row, set()).update(run.seed for run in runs)
        return found

    def standing(self, places: Iterable[Place]) -> Standing:
        """Count the units that are there, and those that are planned."""
        there = planned = 0
        for place in places:
            seeds = {unit.seed for unit in self.board.units.get(place, ())}
            there += len(seeds)
            planned += len(seeds | {run.seed for run in self.runs.get(place, ())})
        return Standing(there, planned)

    def stand(self, claims: Sequence[Claim]) -> list[Standing]:
        """Say of each claim on how many of its planned units it stands."""
        return [self.standing(claim.places) for claim in claims]


def planned(board: Leaderboard, runs: Iterable[PlannedRun]) -> Planned:
    """Lay the runs of a study over the leaderboard of its records."""
    every = list(runs)
    protocols = {run.protocol: run.metrics for run in every if run.protocol is not None}
    rows, columns = with_rows(board.rows, (run.row for run in every)), with_protocols(board.columns, protocols)
    row_of = {row.key: index for index, row in enumerate(rows)}
    columns_of: dict[ProtocolKey, list[int]] = {}
    for column in columns:
        columns_of.setdefault(column.protocol.key, []).append(column.index)
    found: dict[Place, list[PlannedRun]] = {}
    made: dict[int, list[PlannedRun]] = {}
    for run in every:
        row = row_of[run.row]
        if run.protocol is None:
            made.setdefault(row, []).append(run)
        else:
            for index in columns_of[run.protocol]:
                found.setdefault((row, index), []).append(run)
    whole = dataclasses.replace(board, rows=rows, columns=columns)
    return Planned(
        board, whole, {place: tuple(of) for place, of in found.items()}, {row: tuple(of) for row, of in made.items()}
    )
