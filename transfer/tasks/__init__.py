"""The protocols, one declaration each. Adding a task is one file (or one declaration in a family's file) and one line.

A family's settings are in the file of its name: `detection`, `segmentation`, `probe`.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator

from pretrain.core.errors import ConfigError
from pretrain.core.settings import ComputeSettings, Settings
from transfer.datasets import LAYOUTS
from transfer.record import Data

if TYPE_CHECKING:
    from pretrain.backbones import Architecture

TASKS: dict[str, str] = {
    "linear": "linear:LINEAR",
    "linear-cached": "linear:LINEAR_CACHED",
    "knn": "knn:KNN",
    "voc07": "voc:VOC07",
    "voc0712": "voc:VOC0712",
    "coco-c4": "coco:COCO_C4",
    "coco-c4-box": "coco_box:COCO_C4_BOX",
    "coco-fpn": "coco:COCO_FPN",
    "cityscapes": "cityscapes:CITYSCAPES",
    "cityscapes-deeplabv3": "cityscapes_deeplabv3:CITYSCAPES_DEEPLABV3",
}
"""Task name → `module:DECLARATION` in this package, imported when asked for."""


class TaskSettings(ComputeSettings):
    """Base of every task's settings.

    Settings that `--iters`, `--batch`, `--size`, `--rois`, `--lr-search` or `--precise-bn` can change have the method of that
    name after `with_`, which returns a changed copy.
    """

    OPTIONAL: ClassVar[frozenset[str]] = ComputeSettings.OPTIONAL | {"on_bad_image"}

    on_bad_image: Literal["stop", "skip"] = "stop"
    """What a training image that can't be decoded does: end the run, or stay out of it, counted and listed. All images are
    decoded once before the run then, and a validation image that can't be is an error."""

    def with_on_bad_image(self, what: str) -> Self:
        """Change what an image that can't be decoded does."""
        return self.replace({"on_bad_image": what}, where="--on-bad-image")

    def schedule(self) -> str:
        """Describe the schedule in words."""
        return ""

    def require(self, architecture: "Architecture") -> None:
        """Refuse an architecture that the task can't be done with under these settings.

        Raises:
            ConfigError: With what it can.
        """

    def splits(self) -> dict[str, Any]:
        """Return the arguments of the layout's `read` beside the root."""
        return {}


class Noise(Settings):
    """A published spread over repetitions, which is evidence on what was repeated and on nothing else."""

    sd: float
    """Standard deviation."""
    n: int
    """Repetitions it was computed from."""
    over: Literal["pre-trainings", "fine-tunings"]
    """What was repeated: pre-training and all that follows, or the fine-tuning of one checkpoint."""
    source: str
    """Where it is printed."""


class Published(Settings):
    """A benchmark of `results/published` that a task's published protocol equals, so that their numbers share a column."""

    name: str
    """The task's name in those files."""
    classes: int
    """Number of classes in its data."""
    val: int
    """Number of images its metric is computed on; with the classes, it tells the benchmark's data from others."""
    schedule: str | None = None
    """Name of the task's schedule; None where it has one."""
    source: str = ""
    """Substring that a published row's source must contain; disambiguates papers that reuse a benchmark's name."""
    noise: Mapping[str, Noise] = {}
    """Metric → its spread over repetitions, where that is published."""


class Expected(Settings):
    """A published row of the unchanged protocol on its benchmark's own data, which a run of it should come near."""

    checkpoint: str
    """Method and epochs, in words; a ResNet-50 of ImageNet-1K, unless it says otherwise."""
    metrics: Mapping[str, float]
    """Metric → value."""
    spread: Mapping[str, float] = {}
    """Metric → standard deviation over repetitions; only where it is published."""
    schedule: str | None = None
    """Name of the task's schedule; None where it has one."""
    source: str
    """Where it is printed."""

    def numbers_in_words(self) -> str:
        """Format the numbers, such as `AP50 82.5 ± 0.2, AP 57.4 ± 0.2`."""
        spread = {name: f" ± {value:g}" for name, value in self.spread.items()}
        return ", ".join(f"{name} {value:.1f}{spread.get(name, '')}" for name, value in self.metrics.items())


class Task(BaseModel):
    """A transfer protocol: everything that makes two numbers comparable, and where it was published."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)

    name: str
    """The one name: file, table, command line, column."""
    version: int
    """Raised with every change that moves a number."""
    title: str
    """Description in one line."""
    source: str
    """Where the protocol is published."""
    layout: str
    """Data layout it reads; one of `transfer.datasets.LAYOUTS`."""
    engines: tuple[str, ...]
    """Engines that can run it, the preferred one first."""
    settings: TaskSettings
    """The published protocol."""
    schedules: Mapping[str, Mapping[str, Any]] = {}
    """Where it is published with several lengths: what each changes in the settings, under its name."""
    schedule: str | None = None
    """Name of the one these settings have; `TASK` alone means this one, `TASK@SCHEDULE` names it."""
    small: Mapping[str, Any]
    """What `--budget small` changes, to fit a CPU."""
    generated: Mapping[str, Any] | None = None
    """What changes on the generated data, where that is smaller still; None: what `small` changes."""
    metrics: tuple[str, ...]
    """Names of the metrics it yields, the one that ranks first."""
    published: tuple[Published, ...] = ()
    """The published benchmarks that the unchanged protocol equals; empty: none."""
    expected: tuple[Expected, ...] = ()
    """Published numbers of those benchmarks, a few well-known ones; all that are known are in `results/published`."""

    @field_validator("layout")
    @classmethod
    def _known(cls, layout: str) -> str:
        if layout not in LAYOUTS:
            raise ValueError(f"one of {', '.join(LAYOUTS)}")
        return layout

    def benchmark(self, data: Data, schedule: str | None = None) -> Published | None:
        """Find the published benchmark that the unchanged protocol equals on data of that size.

        Args:
            data: What was trained and evaluated on.
            schedule: Name of the schedule; None for the one that these settings have.

        Returns:
            The benchmark; None if there is none, as for some of the classes of larger data, however many they are.
        """
        if data.chosen_from is not None:
            return None
        wanted = (schedule or self.schedule, data.classes, data.val)
        return next((one for one in self.published if (one.schedule, one.classes, one.val) == wanted), None)

    def expectations(self) -> list[str]:
        """Describe what is expected of this schedule, a line for each published row."""
        rows = [row for row in self.expected if row.schedule == self.schedule]
        return [f"{row.checkpoint}: {row.numbers_in_words()} ({row.source})" for row in rows]

    @property
    def protocol(self) -> str:
        """Return the protocol's full name, such as `coco-c4@2x`."""
        return f"{self.name}@{self.schedule}" if self.schedule else self.name

    def with_schedule(self, schedule: str) -> Self:
        """Return the same protocol with another of its published schedules.

        Raises:
            ConfigError: If it has none of that name.
        """
        if schedule not in self.schedules:
            allowed = ", ".join(self.schedules) or f"none: {self.name} has one schedule"
            raise ConfigError(f"{self.name} has no schedule {schedule!r}", allowed=allowed, fix="--iters sets any length")
        settings = self.settings.replace(self.schedules[schedule])
        return self.model_copy(update={"settings": settings, "schedule": schedule})


def get(name: str, schedule: str | None = None) -> Task:
    """Find the task of that name: `TASK`, or `TASK@SCHEDULE`, or the schedule beside it.

    Raises:
        ConfigError: For an unknown name, with the nearest known one; for an unknown schedule, or two different ones.
    """
    plain, at, named = name.partition("@")
    if plain not in TASKS:
        raise ConfigError.unknown("task", plain, TASKS)
    if at and schedule is not None and named != schedule:
        raise ConfigError("two schedules at once", seen=f"--task {name} --schedule {schedule}", allowed="one of them")
    module, declaration = TASKS[plain].split(":")
    task: Task = getattr(importlib.import_module(f"transfer.tasks.{module}"), declaration)
    chosen = named if at else schedule
    return task if chosen is None else task.with_schedule(chosen)
