"""The protocols, one declaration each. Adding a task is one file (or one declaration in a family's file) and one line."""

import importlib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pretrain.errors import ConfigError
from pretrain.settings import Settings

Layout = Literal["imagefolder", "voc", "coco", "cityscapes"]

TASKS: dict[str, str] = {
    "linear": "linear:LINEAR",
    "knn": "knn:KNN",
    "voc07": "voc:VOC07",
    "voc0712": "voc:VOC0712",
    "coco-c4": "coco:COCO_C4",
    "cityscapes": "cityscapes:CITYSCAPES",
}
"""Task name → `module:DECLARATION` in this package, imported when asked for."""


class TaskSettings(Settings):
    """Base of every task's settings. A task that can be changed by `--iters`, `--batch`, `--size`, `--rois` or
    `--precise-bn` has the method of that name after `with_`, which returns a changed copy.
    """

    def schedule(self) -> str:
        """The schedule in words."""
        return ""

    def splits(self) -> dict[str, Any]:
        """What the layout's `read` is told beside the root."""
        return {}


class Published(Settings):
    """A benchmark of `results/published` that a task's published protocol equals: the numbers may stand in one column."""

    name: str
    """The task's name in those files."""
    classes: int
    """Classes of its data."""
    val: int
    """Images its metric is computed on; with the classes, what tells the benchmark's data from others of that layout."""
    source: str = ""
    """Only rows with this in their source, where papers of different protocols share the name."""
    noise: Mapping[str, float] = {}
    """Metric → standard deviation over repetitions, as published."""


class Task(BaseModel):
    """A transfer protocol: everything that makes two numbers comparable, and where it was published."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)

    name: str
    """The one name: file, table, command line, column."""
    version: int
    """Raised with every change that moves a number."""
    title: str
    """What it is, in one line."""
    source: str
    """Where the protocol is published."""
    layout: Layout
    """Data layout it reads."""
    engines: tuple[str, ...]
    """Engines that can run it, the preferred one first."""
    settings: TaskSettings
    """The published protocol."""
    small: Mapping[str, Any]
    """What `--budget small` changes, to fit a CPU."""
    generated: Mapping[str, Any] | None = None
    """What changes on the generated data, where that is smaller still; None: what `small` changes."""
    metrics: tuple[str, ...]
    """Names of the metrics it yields, the one that ranks first."""
    published: tuple[Published, ...] = ()
    """The published benchmarks that the unchanged protocol equals; empty: none."""


def get(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: For an unknown name, with the nearest known one.
    """
    if name not in TASKS:
        raise ConfigError.unknown("task", name, TASKS)
    module, declaration = TASKS[name].split(":")
    task: Task = getattr(importlib.import_module(f"transfer.tasks.{module}"), declaration)
    return task
