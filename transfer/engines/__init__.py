"""The engines: each turns a job into metrics. Adding one is a folder with an `engine` module and one line of `ENGINES`.

`transfer.engines.driver` has the functions that an engine consists of, and the order in which they are called.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pretrain import backbones
from pretrain.backbones import IMAGENET, SMALL
from pretrain.core.errors import CheckpointError, EngineError
from transfer import tasks
from transfer.engines.job import Job, Outcome
from transfer.sources import Backbone
from transfer.tasks import Task

if TYPE_CHECKING:
    from transfer.engines.driver import Engine

__all__ = ["ENGINES", "EngineInfo", "Job", "Outcome", "choose", "get", "missing", "require_usable"]


class Runs(Protocol):
    """An engine, as far as its caller is concerned: a class derived from `transfer.engines.driver.Engine`."""

    def fit(self, job: Job) -> Outcome:
        """Run a job."""

    def of(self, job: Job) -> "Engine[Any, Any]":
        """Make the engine for a job."""


@dataclass(frozen=True)
class EngineInfo:
    """One line of the table of engines."""

    engine: str
    """`module:Class` of the engine in this package."""
    packages: tuple[str, ...]
    """Packages it needs."""
    stems: tuple[str, ...] = (IMAGENET,)
    """First layers of a backbone that it takes (`pretrain.backbones`)."""
    families: tuple[str, ...] | None = ("resnet",)
    """Families of architectures (`Architecture.family`) that it takes; None: all."""
    remedy: str = "pip install -U bench-transfer"
    """What to do where a package is missing."""

    def takes_family(self, family: str) -> bool:
        """Return whether it takes architectures of a family."""
        return self.families is None or family in self.families

    def takes_stem(self, stem: str) -> bool:
        """Return whether it takes backbones with a first layer."""
        return stem in self.stems


ENGINES: dict[str, EngineInfo] = {
    "probe": EngineInfo("probe.engine:Probe", ("torch",), stems=(IMAGENET, SMALL), families=None),
    "torchvision": EngineInfo("torchvision.engine:Torchvision", ("torchvision",)),
    "detectron2": EngineInfo(
        "detectron2.engine:Detectron2",
        ("detectron2", "fvcore", "iopath", "yacs", "omegaconf", "cloudpickle"),
        remedy="optional, the torchvision engine is tested equal to it; docs/transfer.md says how to install it",
    ),
    "mmseg": EngineInfo(
        "mmseg.engine:MMSegmentation", ("mmseg", "mmengine", "mmcv"), remedy="pip install 'bench-transfer[mmseg]'"
    ),
}
"""Name → engine, imported when asked for."""


def missing(name: str) -> str | None:
    """Return the first package that an engine needs and that is not installed; None where it can run."""
    absent = (package for package in ENGINES[name].packages if importlib.util.find_spec(package) is None)
    return next(absent, None)


def get(name: str) -> Runs:
    """Import the engine of that name.

    Raises:
        EngineError: If there is no such engine, or what it needs is not installed.
    """
    if name not in ENGINES:
        raise EngineError.unknown("engine", name, ENGINES)
    package = missing(name)
    if package is not None:
        raise EngineError(f"the engine {name!r} needs {package!r}, which is not installed", fix=ENGINES[name].remedy)
    module, kind = ENGINES[name].engine.split(":")
    engine: Runs = getattr(importlib.import_module(f"{__name__}.{module}"), kind)
    return engine


def choose(task: Task, name: str | None = None) -> str:
    """Choose the engine for a task: the one asked for, or the first of the task's that can run here.

    Raises:
        EngineError: If the task has no such engine, or none of its engines is installed.
    """
    if name is not None:
        if name not in task.engines:
            fix = "leave --engine away"
            raise EngineError(f"{task.name} can't run on the engine {name!r}", allowed=", ".join(task.engines), fix=fix)
        get(name)
        return name
    for each in task.engines:
        if missing(each) is None:
            return each
    fix = f"{ENGINES[task.engines[-1]].remedy}; `bench doctor` shows what is missing"
    raise EngineError(f"no engine for {task.name!r} is installed", allowed=", ".join(task.engines), fix=fix)


def require_usable(backbone: Backbone, engine: str, task: Task, checkpoint: str) -> None:
    """Refuse a backbone that an engine can't take.

    Args:
        backbone: What would be transferred.
        engine: Name of the engine.
        task: The task, for the message.
        checkpoint: What the user calls the backbone, for the message.

    Raises:
        CheckpointError: If its architecture or its first layers are none that the engine takes.
    """
    info, family, stem = ENGINES[engine], backbone.architecture.family, backbone.stem
    if not info.takes_family(family):
        usable = ", ".join(each.name for each in backbones.every() if info.takes_family(each.family))
        others = _tasks_of(lambda info: info.takes_family(family))
        raise CheckpointError(
            f"{checkpoint} is a {backbone.arch}, which {task.name} can't use yet",
            seen=f"the engine {engine!r}",
            allowed=f"{usable}; a {backbone.arch} is taken by {others}",
        )
    if not info.takes_stem(stem):
        raise CheckpointError(
            f"{checkpoint} has the stem for small images, which {task.name} can't use",
            seen="a first convolution of 3 × 3 without pooling",
            allowed=f"torchvision's 7 × 7; this one is taken by {_tasks_of(lambda info: info.takes_stem(stem))}",
            fix="pre-train with --set stem=imagenet",
        )


def _tasks_of(takes: Callable[[EngineInfo], bool]) -> str:
    """Name the tasks that have an engine which takes something."""
    return ", ".join(name for name in tasks.TASKS if any(takes(ENGINES[each]) for each in tasks.get(name).engines))
