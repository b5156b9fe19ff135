"""`bench transfer`: fine-tune or probe a backbone on a task."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import places
from bench.options import READING, SETUP, SMALL, Place, Reading, Setup
from bench.selection import ALL, Selection
from bench.verbs import Finished, Plan, Produced, dry_run
from bench.verbs.adjustments import adjust
from bench.verbs.execute import execute
from bench.verbs.recording import account, audited, checkpoint_ref, introduce, notes, remarks, slug, small_views
from pretrain.core import distributed
from pretrain.core.counts import counted
from pretrain.core.group import group
from pretrain.core.journal import Journal, Progress
from transfer import datasets, engines, tasks
from transfer.datasets.skipping import Unread, without_unreadable
from transfer.engines import Outcome
from transfer.engines.foretelling import foretell
from transfer.record import RunFields
from transfer.sources import Backbone
from transfer.tasks import Task, TaskSettings

TRAINING = ("train", "linear")
"""The stages in which the engines train."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What to transfer to which task, as asked for."""

    task: str
    """What `transfer.tasks.get` takes."""
    checkpoint: str
    """What `transfer.sources.load` takes."""
    schedule: str | None = None
    """One of the task's published ones; None: as the task's name says."""
    engine: str | None = None
    """One of the task's engines; None: the first that is installed."""
    adjustments: Mapping[str, int | bool | str | None] = field(default_factory=dict)
    """Fields of `bench.verbs.adjustments.Adjustments`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the task's settings; they have the last word."""
    setup: Setup = SETUP
    reading: Reading = READING
    selection: Selection = ALL
    """Classes of the data to use."""


@dataclass(frozen=True, kw_only=True)
class TransferPlan(Plan):
    """One transfer, resolved and checked."""

    kind = "transfer"

    settings: TaskSettings
    """The task's settings with everything the user changed."""
    task: Task
    engine: str
    backbone: Backbone
    seed: int
    arithmetic: tuple[str, ...]
    """How the learning rate was scaled, in words."""
    unread: tuple[str, ...]
    """Training images that the reader left out, for it can't read them."""

    @cached_property
    def changed(self) -> dict[str, Any]:
        """What differs from the published protocol."""
        return self.settings.differences(self.task.settings)

    def name(self) -> str:
        """Name the protocol, the backbone, the data and the seed."""
        return f"{self.task.protocol}-{slug(self.backbone)}-{self.data.name}-s{self.seed}"

    def identity(self) -> Any:
        """What runs on which backbone, what differs from the published protocol, and the data."""
        return [self.subject(), self.changed, self.data.fingerprint]

    def subject(self) -> dict[str, Any]:
        """The protocol, the engine, the backbone and the seed."""
        return {
            "task": self.task.protocol,
            "version": self.task.version,
            "engine": self.engine,
            "checkpoint": self.backbone.identity,
            "seed": self.seed,
        }

    def work(self, journal: Journal, folder: Path) -> Produced:
        """Say what runs, and run the engine."""
        self.selection.save(folder, self.content)
        self._announce(journal)
        verdict = audited(self.backbone, self.content, self.device, journal)
        outcome, skipped = self._fit(journal, folder)
        fields = RunFields(
            kind=self.kind,
            task=self.task.name,
            protocol=self.task.protocol,
            version=self.task.version,
            changed=self.changed,
            engine=self.engine,
            schedule=self.settings.schedule(),
            checkpoint=checkpoint_ref(self.backbone),
            data=self.data,
            seed=self.seed,
            metrics=dict(outcome.metrics),
            images_per_second=_speed(journal, self.settings.numbers().get("batch"), self.data.train),
            proof={**account(self.backbone, verdict), **outcome.proof},
            notes=notes(
                self.generated,
                *self.selection.remarks(),
                *remarks(self.backbone, verdict),
                *small_views(self.backbone, self.task),
                *skipped,
                *outcome.notes,
            ),
        )
        return Produced(fields, outcome.spent)

    def follow(self, journal: Journal, folder: Path) -> None:
        """Run the engine's part of a later process."""
        self._fit(journal, folder)

    def _announce(self, journal: Journal) -> None:
        introduce(self.backbone, journal)
        for line in small_views(self.backbone, self.task):
            journal.say(line)
        for line in self.arithmetic:
            journal.say(line)
        if self.changed:
            journal.say(f"not the published protocol {self.task.protocol}; changed: {_few(sorted(self.changed))}")
        elif self.task.benchmark(self.data):
            for line in self.task.expectations():
                journal.say(f"published: {line}")

    def _fit(self, journal: Journal, folder: Path) -> tuple[Outcome, tuple[str, ...]]:
        """Run the engine; returns what it yields, and a note on images that were left out."""
        job, skipped = self._job(journal, folder)
        return engines.get(self.engine).fit(job), skipped

    def _job(self, journal: Journal, folder: Path) -> tuple[engines.Job, tuple[str, ...]]:
        """Make the engine's job, without images that can't be read; returns a note on these, too."""
        content, skipped = self.content, tuple[str, ...]()
        if self.settings.on_bad_image == "skip":
            evaluated = self.settings.numbers().get("max_val_images")
            content, skipped = without_unreadable(content, folder, journal, unread=self.unread, evaluated=evaluated)
        job = engines.Job(
            self.task,
            self.settings,
            self.backbone,
            content,
            folder,
            self.seed,
            self.device,
            journal,
            announce_time=not self.generated,
        )
        return job, skipped

    def foretold(self, journal: Journal, place: Place) -> Iterator[str]:
        """Say what it would take; what the engine writes lies in a folder that is removed."""
        self._announce(journal)
        with tempfile.TemporaryDirectory() as folder:
            job, _ = self._job(journal, Path(folder))
            found = foretell(engines.get(self.engine).of(job))
        batch = (self.settings.numbers().get("batch") or 1) / place.processes
        does = "trained" if found.trains else "whose features are read"
        yield f"engine {self.engine}: a network of {found.parameters / 1e6:.1f} million parameters, {does}"
        yield f"{self.settings.schedule()}; {counted(self.data.train, 'training image')}, {self.data.val} to evaluate"
        yield dry_run.memory(found.state, found.activations * batch)
        yield dry_run.time(found.seconds / place.processes, self.device, place, "from one step timed now")


def run(asked: Transfer, place: Place, progress: Progress, command: str | None = None) -> Finished:
    """Transfer a checkpoint to a task; of several processes, this one's part. `command` is recorded as the exact command.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    task, engine = _checked(asked)
    with group(place.device_name()) as device:
        return execute(_resolve(asked, place, progress, task, engine, device), place, progress, command)


def explain(asked: Transfer, place: Place, progress: Progress) -> None:
    """Say what `run` would do and what it would take: settings, how the checkpoint is read, parameters, memory, time."""
    task, engine = _checked(asked)
    plan = _resolve(asked, place, progress, task, engine, place.device_name())
    dry_run.explain(plan, place, plan.foretold(Journal(progress=progress), place), progress)


def _checked(asked: Transfer) -> tuple[Task, str]:
    """Find the task and the engine before anything is read."""
    task = tasks.get(asked.task, asked.schedule)
    asked.selection.require_folders(task.name, task.layout)
    return task, engines.choose(task, asked.engine)


def _resolve(asked: Transfer, place: Place, progress: Progress, task: Task, engine: str, device: str) -> TransferPlan:
    backbone = asked.reading.load(asked.checkpoint, Journal(progress=progress))
    engines.require_usable(backbone, engine, task, asked.checkpoint)
    with distributed.first_alone():
        root, generated = places.data_root(place.data, task.layout, Journal(progress=progress))
    settings, arithmetic = settings_of(asked, task, generated)
    settings.require(backbone.architecture)
    if place.processes > 1:
        distributed.divided(settings.numbers()["batch"], place.processes)
    unread = Unread()
    tell = unread.tell if settings.on_bad_image == "skip" else datasets.stop
    content = datasets.read(task.layout, root, settings, tell, **asked.selection.arguments())
    return TransferPlan(
        task=task,
        settings=settings,
        engine=engine,
        backbone=backbone,
        root=root,
        content=content,
        generated=generated,
        selection=asked.selection,
        seed=asked.setup.seed,
        device=device,
        arithmetic=tuple(arithmetic),
        unread=tuple(unread.names),
    )


def settings_of(asked: Transfer, task: Task, generated: bool) -> tuple[TaskSettings, list[str]]:
    """Return the task's settings with everything the user changed, and how the learning rate was scaled, in words.

    Raises:
        ConfigError: For a setting that the task has not, or a value that can't be.
    """
    small = task.generated or task.small if generated else task.small
    settings = task.settings.replace(small if generated or asked.setup.budget == SMALL else {})
    if asked.setup.config is not None:
        where = f"the configuration {asked.setup.config}"
        settings = settings.replace(places.read_config("transfer", asked.setup.config), where=where)
    settings, arithmetic = adjust(settings, task.name, asked.adjustments)
    return settings.replace(asked.options, where=f"the settings of {task.name}"), arithmetic


def _speed(journal: Journal, batch: int | None, images: int) -> float | None:
    """Training images per second; None where the task trains nothing. A batch holds no more than the `images` there are."""
    rates = [rate for stage in TRAINING if (rate := journal.rate(stage)) is not None]
    return round(rates[0] * min(batch, images), 3) if rates and batch else None


def _few(names: list[str]) -> str:
    """List at most six names; the record has them all."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
