"""The engines: each turns a job into metrics through the same small interface, and is imported when asked for."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pretrain.errors import EngineError
from pretrain.journal import Journal
from transfer.sources import Backbone
from transfer.tasks import Task, TaskSettings

ENGINES: dict[str, tuple[str, str]] = {
    "probe": ("transfer.engines.probe", "torch"),
    "torchvision": ("transfer.engines.torchvision", "torchvision"),
    "mmseg": ("transfer.engines.mmseg", "mmseg"),
}
"""Engine name → our module, and the package it needs."""


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
    """`cpu` or `cuda`."""
    journal: Journal
    announce_time: bool = False
    """Measure and say the estimated time before the work starts."""


@dataclass(frozen=True)
class Outcome:
    """What a job yielded."""

    metrics: Mapping[str, float | None]
    """Percent, 0 to 100; null where the engine could not compute one."""
    proof: Mapping[str, float]
    """What `transfer.prove.prove` returned."""
    notes: tuple[str, ...] = field(default=())
    """What a reader of the number must know (for instance: plain BN instead of synchronised BN on one process)."""


class Engine(Protocol):
    """An engine module."""

    def fit(self, job: Job) -> Outcome:
        """Load the backbone with proof, fine-tune, evaluate."""


def missing(name: str) -> str | None:
    """The package an engine needs and which is not installed; None where it can run."""
    package = ENGINES[name][1]
    return package if importlib.util.find_spec(package) is None else None


def get(name: str) -> Engine:
    """The engine of that name.

    Raises:
        EngineError: If there is no such engine, or what it needs is not installed.
    """
    if name not in ENGINES:
        raise EngineError.unknown("engine", name, ENGINES)
    package = missing(name)
    if package is not None:
        raise EngineError(f"the engine {name!r} needs {package!r}, which is not installed", fix="see `bench doctor`")
    engine: Engine = importlib.import_module(ENGINES[name][0])
    return engine


def available(task: Task) -> str:
    """The first of the task's engines that can run here.

    Raises:
        EngineError: If none can.
    """
    for name in task.engines:
        if missing(name) is None:
            return name
    raise EngineError(f"no engine for {task.name!r} is installed", allowed=", ".join(task.engines), fix="see `bench doctor`")
