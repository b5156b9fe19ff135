"""What an engine is given, and what it yields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.core.journal import Journal
from pretrain.core.settings import digest
from transfer.sources import Backbone
from transfer.tasks import Task, TaskSettings


@dataclass(frozen=True)
class Job:
    """One transfer: everything an engine needs, nothing it must look for."""

    task: Task
    settings: TaskSettings
    """The task's settings with the user's changes; of the class of `task.settings`."""
    backbone: Backbone
    data: Any
    """What the task's layout reader returned (`transfer.datasets`)."""
    folder: Path
    """The run's folder; the engine may write below it."""
    seed: int
    device: str
    """`cpu` or `cuda`; of several processes each has its own, `cuda:1`."""
    journal: Journal
    announce_time: bool = False
    """Measure and log the estimated time before the work starts."""

    @property
    def identity(self) -> str:
        """Digest all that changes the numbers; a training checkpoint of another identity is refused."""
        plain = {"settings": self.settings.numbers(), "seed": self.seed}
        return digest(plain | {"backbone": self.backbone.identity, "data": self.data.ref.fingerprint})


@dataclass(frozen=True)
class Outcome:
    """What a job yielded."""

    metrics: Mapping[str, float | None]
    """Percent, 0 to 100; null where the engine could not compute one."""
    proof: Mapping[str, float]
    """What `transfer.prove.prove` returned, and numbers that the engine chose."""
    notes: tuple[str, ...] = field(default=())
    """What a reader of the number must know (for instance: plain BN instead of synchronised BN on one process)."""
    spent: tuple[Path, ...] = field(default=(), compare=False)
    """Resume files that the caller deletes, in this order, once the result is written: a process killed before would
    otherwise have lost the run."""
