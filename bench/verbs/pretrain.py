"""`bench pretrain`: make a backbone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.options import Place, Setup
from bench.verbs import Finished, Plan, Produced, dry_run
from bench.verbs.execute import execute
from bench.verbs.pretrain_settings import configuration, drawn, find, lengthened
from bench.verbs.recording import checkpoint_ref, notes
from pretrain import plan as planning
from pretrain import train as training
from pretrain.backbones import unlearnt
from pretrain.config import PretrainConfig
from pretrain.core import distributed
from pretrain.core.counts import counted
from pretrain.core.group import group
from pretrain.core.journal import Journal, Progress
from pretrain.core.workers import count
from pretrain.images import skipping
from pretrain.images.training_set import TrainingSet
from transfer import sources
from transfer.datasets.imagefolder import ClassificationData
from transfer.datasets.skipping import readable
from transfer.record import RunFields
from transfer.representation.monitor import glanced, monitor


@dataclass(frozen=True, kw_only=True)
class PretrainPlan(Plan):
    """One pre-training, resolved and checked. The classes that it uses are among its settings."""

    kind = "pretrain"

    settings: PretrainConfig
    published: PretrainConfig
    """The method as published."""
    content: ClassificationData
    training_set: TrainingSet
    """The training images with the labels that are used."""
    lengthening: str
    """How the epochs were changed to keep the iterations; empty if they weren't."""

    @cached_property
    def changed(self) -> dict[str, Any]:
        """What differs from the published method."""
        return self.settings.differences(self.published)

    def arithmetic(self) -> list[str]:
        """How epochs and learning rate came about, what speaks against the optimiser, and which weights can't learn."""
        recipe = self.settings.recipe
        rate = f"learning rate {recipe.base_lr:g} × {recipe.batch} / 256 = {recipe.lr:g}"
        return [line for line in (self.lengthening, rate, recipe.optimizer.remark(recipe.batch), self.unlearnt) if line]

    @cached_property
    def unlearnt(self) -> str:
        """Which weights the views are too small for, in words; empty where none."""
        return unlearnt.remark(self.settings.arch, max(view.size for view in self.settings.views()), self.settings.stem)

    def name(self) -> str:
        """Name the method, the augmentation, the supervision, the backbone, the data and the seed."""
        settings = self.settings
        words = (settings.method.name, settings.aug, settings.supervision, settings.arch, self.data.name, f"s{settings.seed}")
        return "-".join(("pretrain", *words))

    def identity(self) -> Any:
        """The method with its version, what differs from its published run, and the data."""
        return [self.settings.identity(), self.data.fingerprint]

    def continues(self) -> Any:
        """The run that would stop at the first unreadable image: until there it is the one that does without it."""
        if self.settings.on_bad_image == "stop":
            return None
        return [self.settings.replace({"on_bad_image": "stop"}).identity(), self.data.fingerprint]

    def subject(self) -> dict[str, Any]:
        """Nothing beside settings and data."""
        return {}

    def foretold(self, place: Place) -> Iterator[str]:
        """Say what it would take."""
        settings, images, recipe = self.settings, self.content.train, self.settings.recipe
        load = planning.loading(settings, planning.as_kept(settings, images), self.training_set.labels, self.device)
        size = {"images": len(images), "classes": len(images.classes), "processes": place.processes}
        estimate = planning.plan(settings, **size, device=self.device, load=load)
        yield from self.arithmetic()
        yield f"a step costs {planning.cost(settings)}"
        yield f"{estimate.parameters / 1e6:.1f} million trained parameters"
        epochs = f"{counted(recipe.epochs, 'epoch')} of {counted(len(images), 'image')}"
        yield f"{counted(estimate.steps, 'step')}: {epochs} in batches of {recipe.batch}"
        yield dry_run.memory(estimate.state, estimate.activations)
        yield dry_run.time(estimate.seconds, self.device, place, f"from a few images timed now; {estimate.bound}")
        if settings.cache is not None:
            yield "before that the images are cached, where none of an earlier run are there; its time is not in this estimate"

    def work(self, journal: Journal, folder: Path) -> Produced:
        """Train, and read the backbone back for its hash."""
        settings, recipe = self.settings, self.settings.recipe
        for line in self.arithmetic():
            journal.say(line)
        trained = self._train(journal, folder)
        crops = [f"a step costs {planning.cost(settings)}"] if len({view.size for view in settings.views()}) > 1 else []
        skipped = [skipping.note(trained.skipped, len(self.content.train))] if trained.skipped else []
        fields = RunFields(
            kind=self.kind,
            task="pretrain",
            protocol=settings.method.name,
            version=settings.method.version,
            changed=self.changed,
            engine="pretrain",
            schedule=f"{recipe.epochs} epochs of batches of {recipe.batch}, learning rate {recipe.lr:g}",
            checkpoint=checkpoint_ref(sources.load(str(trained.backbone))),
            data=self.data,
            seed=settings.seed,
            metrics={"loss": trained.loss},
            notes=notes(
                self.generated,
                *self.content.notes,
                *crops,
                *skipped,
                *filter(None, [self.unlearnt, trained.went_on, trained.collapsed, trained.diverged]),
            ),
            images_per_second=trained.images_per_second,
        )
        return Produced(fields)

    def follow(self, journal: Journal, folder: Path) -> None:
        """Train as a later process."""
        self._train(journal, folder)

    def _train(self, journal: Journal, folder: Path) -> training.Trained:
        settings, batch, watched = self.settings, self.settings.recipe.batch, self.content
        if settings.monitor_every and settings.on_bad_image == "skip":  # what it looks at is no place for an image in its stead
            watched, _ = readable(glanced(watched), journal)
        return training.train(
            settings,
            self.training_set,
            folder,
            journal,
            name=self.data.name,
            device=self.device,
            announce_time=not self.generated,
            monitor=monitor(
                watched,
                arch=settings.arch,
                size=settings.size,
                batch=batch,
                device=self.device,
                num_workers=count(settings.num_workers, self.device),
            ),
        )


def run(options: Mapping[str, Any], setup: Setup, place: Place, progress: Progress, command: str | None = None) -> Finished:
    """Pre-train a backbone; of several processes, this one's part.

    Args:
        options: Fields of `PretrainConfig`; they have the last word.
        setup: Of it, the configuration and the budget; the seed is one of the options.
        place: Data, folder and devices.
        progress: Called with every step and every line of the log.
        command: Recorded as the exact command; this process's own unless given.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    with group(place.device_name()) as device:
        return execute(_resolve(options, setup, place, progress, device), place, progress, command)


def explain(options: Mapping[str, Any], setup: Setup, place: Place, progress: Progress) -> None:
    """Say what `run` would do and what it would take: the resolved configuration, parameters, steps, memory, time."""
    plan = _resolve(options, setup, place, progress, place.device_name())
    dry_run.explain(plan, place, plan.foretold(place), progress)


def _resolve(options: Mapping[str, Any], setup: Setup, place: Place, progress: Progress, device: str) -> PretrainPlan:
    published, settings = configuration(options, setup, place.data, device)
    root, images, generated = find(settings, place.data, progress)
    origin = drawn(settings, root)
    settings, lengthening = lengthened(settings, root, len(images.train))
    chosen = training.training_set(settings, images.train, origin)
    distributed.divided(settings.recipe.batch, place.processes, settings.bn_splits)
    return PretrainPlan(
        settings=settings,
        published=published,
        root=root,
        content=images,
        training_set=chosen,
        generated=generated,
        device=device,
        lengthening=lengthening,
    )
