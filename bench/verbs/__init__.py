"""What the commands do, one module per verb.

A verb that makes a run resolves everything into a `Plan` and refuses what is wrong before anything is written; then
`bench.verbs.execute` does the plan in a run folder. The command line and the demo call the same functions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.selection import ALL, Selection
from pretrain.core.journal import Journal
from pretrain.core.settings import ComputeSettings
from pretrain.train import BACKBONE
from transfer.record import Data, RunFields, RunRecord


@dataclass(frozen=True)
class Finished:
    """A run that is done."""

    folder: Path
    record: RunRecord
    reused: bool
    """Whether it had been done before."""

    @property
    def metrics(self) -> dict[str, float | None]:
        """Return what was measured; None where a number could not be computed."""
        return self.record.metrics

    @property
    def backbone(self) -> Path:
        """Return the file of the backbone that a pre-training made."""
        return self.folder / BACKBONE


@dataclass(frozen=True)
class Produced:
    """What the work of a plan produced."""

    fields: RunFields
    spent: tuple[Path, ...] = ()
    """Files to resume from, which are removed in this order once the record is written, and not before: a process killed in
    between would have lost the run."""


@dataclass(frozen=True, kw_only=True)
class Plan(ABC):
    """A run that is resolved and checked: everything that its work needs."""

    kind: ClassVar[Literal["pretrain", "transfer", "measure"]]
    """What a record calls this kind of run."""

    settings: ComputeSettings
    root: Path
    """Folder of the data."""
    content: Any
    """What the layout's reader returned for it."""
    generated: bool
    """Whether the data is generated."""
    device: str
    """`cpu` or `cuda:N`; each of several processes has its own."""
    selection: Selection = ALL
    """Classes of the data that are used."""

    @property
    def data(self) -> Data:
        """The data, as a record describes them: generated data has one name, wherever it lies."""
        ref: Data = self.content.ref
        return ref.replace({"name": self.root.parent.name}) if self.generated else ref

    def config(self) -> dict[str, Any]:
        """All settings as plain values, for the `config.yaml` of the run's folder."""
        return {
            "kind": self.kind,
            **self.subject(),
            "data": str(self.root.resolve()),
            "data_fingerprint": self.data.fingerprint,
            **self.selection.plain(),
            **self.settings.model_dump(mode="json"),
        }

    @property
    @abstractmethod
    def changed(self) -> Mapping[str, Any]:
        """What differs from what is published."""

    @abstractmethod
    def name(self) -> str:
        """Name the run's folder, without the digits of the identity."""

    @abstractmethod
    def identity(self) -> Any:
        """Everything that changes the numbers, as plain JSON values: two runs of one identity are the same run."""

    def continues(self) -> Any:
        """The identity of a run that is the same so far, and may go on as this one; None: there is none."""
        return None

    @abstractmethod
    def subject(self) -> dict[str, Any]:
        """What runs on what, beside settings and data, as plain values."""

    @abstractmethod
    def work(self, journal: Journal, folder: Path) -> Produced:
        """Do the run; of several processes, the first one's part."""

    @abstractmethod
    def follow(self, journal: Journal, folder: Path) -> None:
        """Do the part of a process after the first one."""
