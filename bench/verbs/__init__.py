"""What the commands do, one module per verb.

A verb that makes a run resolves everything into a `Plan` and refuses what is wrong before anything is written; then
`bench.verbs.execute` does the plan in a run folder. The command line and the demo call the same functions.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretrain.core.journal import Journal
from transfer.record import RunFields, RunRecord


@dataclass(frozen=True)
class Finished:
    """A run that is done."""

    folder: Path
    record: RunRecord
    reused: bool
    """Whether it had been done before."""


@dataclass(frozen=True)
class Produced:
    """What the work of a plan produced."""

    fields: RunFields
    spent: tuple[Path, ...] = ()
    """Files to resume from, which are removed in this order once the record is written, and not before: a process killed in
    between would have lost the run."""


class Plan(ABC):
    """A run that is resolved and checked. Plans are frozen dataclasses of everything the work needs."""

    @abstractmethod
    def name(self) -> str:
        """Name the run's folder, without the digits of the identity."""

    @abstractmethod
    def identity(self) -> Any:
        """Everything that changes the numbers, as plain JSON values: two runs of one identity are the same run."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """All settings as plain values, for the `config.yaml` of the run's folder."""

    @abstractmethod
    def work(self, journal: Journal, folder: Path) -> Produced:
        """Do the run; of several processes, the first one's part."""

    def follow(self, journal: Journal, folder: Path) -> None:
        """Do the part of a process after the first one."""
        raise NotImplementedError(f"{type(self).__name__} runs in one process")
