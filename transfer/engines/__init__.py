"""The engines: each turns a job into metrics through the same small interface, and is imported when asked for."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pretrain.core.errors import EngineError
from pretrain.core.journal import Journal
from pretrain.core.settings import digest
from transfer.sources import Backbone
from transfer.tasks import Task, TaskSettings

ENGINES: dict[str, tuple[str, ...]] = {
    "probe": ("transfer.engines.probe.engine", "torch"),
    "torchvision": ("transfer.engines.torchvision.engine", "torchvision"),
    "detectron2": ("transfer.engines.detectron2.engine", "detectron2", "fvcore", "iopath", "yacs", "omegaconf", "cloudpickle"),
    "mmseg": ("transfer.engines.mmseg.engine", "mmseg"),
}
"""Engine name → our module, and the packages it needs."""
ONE_PROCESS = frozenset({"probe"})
"""Engines whose work is not divided among processes."""


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
    """Measure and say the estimated time before the work starts."""

    @property
    def identity(self) -> str:
        """Digest of all that changes the numbers; a training checkpoint of another is refused."""
        plain = {"settings": self.settings.numbers(), "seed": self.seed}
        return digest(plain | {"backbone": self.backbone.sha256, "data": self.data.ref.fingerprint})


@dataclass(frozen=True)
class Outcome:
    """What a job yielded."""

    metrics: Mapping[str, float | None]
    """Percent, 0 to 100; null where the engine could not compute one."""
    proof: Mapping[str, float]
    """What `transfer.prove.prove` returned."""
    notes: tuple[str, ...] = field(default=())
    """What a reader of the number must know (for instance: plain BN instead of synchronised BN on one process)."""
    spent: tuple[Path, ...] = field(default=(), compare=False)
    """Files to go on from, of no use once the result is written; the caller removes them then, in this order, not before:
    a process killed in between would have lost the run."""


class Engine(Protocol):
    """An engine module."""

    def fit(self, job: Job) -> Outcome:
        """Load the backbone with proof, fine-tune, evaluate.

        In a process group every process calls this. The first one writes, speaks, and returns what was found; the
        others have a silent journal, and what they return is not used.
        """


def missing(name: str) -> str | None:
    """The first package an engine needs and which is not installed; None where it can run."""
    absent = (package for package in ENGINES[name][1:] if importlib.util.find_spec(package) is None)
    return next(absent, None)


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


def choose(task: Task, name: str | None = None, processes: int = 1) -> str:
    """The engine for a task: the one asked for, or the first of the task's that can run here.

    Raises:
        EngineError: If the task has no such engine, none of its engines is installed, or it can't use several processes.
    """
    chosen = _chosen(task, name)
    if processes > 1 and chosen in ONE_PROCESS:
        seen = f"{processes} processes for {task.name}"
        raise EngineError(f"the engine {chosen!r} runs in one process", seen=seen, fix="leave --devices away")
    return chosen


def _chosen(task: Task, name: str | None) -> str:
    if name is not None:
        if name not in task.engines:
            fix = "leave --engine away"
            raise EngineError(f"{task.name} can't run on the engine {name!r}", allowed=", ".join(task.engines), fix=fix)
        get(name)
        return name
    for each in task.engines:
        if missing(each) is None:
            return each
    raise EngineError(f"no engine for {task.name!r} is installed", allowed=", ".join(task.engines), fix="see `bench doctor`")
