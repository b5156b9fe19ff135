"""`bench pretrain`: make a backbone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import places
from bench.selection import Selection
from bench.verbs import SMALL, Finished, Request, checkpoint_ref, data_ref, execute, notes
from pretrain import fields, methods
from pretrain import plan as planning
from pretrain import train as training
from pretrain.config import PretrainConfig
from pretrain.core import distributed
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal, duration
from pretrain.images import classes, skipping
from pretrain.images import imageset as image_sets
from pretrain.images.training_set import TrainingSet
from pretrain.trainer import precision_of
from transfer import sources
from transfer.datasets import imagefolder
from transfer.datasets.imagefolder import ClassificationData
from transfer.record import Data
from transfer.representation.monitor import monitor

GENERATED_MOCO = "shapes-moco"
"""The configuration for contrastive learning on generated data."""


@dataclass(frozen=True)
class _Resolved:
    """Everything that was asked for, found and checked."""

    config: PretrainConfig
    published: PretrainConfig
    """The method's own."""
    root: Path
    images: ClassificationData
    chosen: TrainingSet
    """The training images with the labels that are used."""
    data: Data
    generated: bool
    device: str
    lengthening: str
    """What was done to the epochs to keep the iterations; empty for nothing."""

    @property
    def arithmetic(self) -> str:
        """How the learning rate follows from the batch."""
        recipe = self.config.recipe
        return f"learning rate {recipe.base_lr:g} × {recipe.batch} / 256 = {recipe.lr:g}"

    def train(self, journal: Journal, folder: Path) -> training.Trained:
        """This process's part of the training."""
        config = self.config
        watch = monitor(self.images, arch=config.arch, size=config.size, batch=config.recipe.batch, device=self.device)
        return training.train(
            config,
            self.chosen,
            folder,
            journal,
            name=self.data.name,
            device=self.device,
            announce_time=not self.generated,
            monitor=watch,
        )


def run(request: Request, options: Mapping[str, Any]) -> Finished:
    """Pre-train a backbone; `options` are fields of `PretrainConfig` and have the last word.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    with distributed.group(request.device_name()) as device:
        asked = _resolve(request, options, device)
        config, data = asked.config, asked.data

        def work(journal: Journal, folder: Path) -> dict[str, Any]:
            for said in filter(None, (asked.lengthening, asked.arithmetic)):
                journal.say(said)
            trained = asked.train(journal, folder)
            return {
                "kind": "pretrain",
                "task": "pretrain",
                "protocol": config.method.name,
                "version": config.method.version,
                "changed": config.differences(asked.published),
                "engine": "pretrain",
                "schedule": recipe_in_words(config),
                "checkpoint": checkpoint_ref(sources.load(str(trained.backbone))),
                "data": data,
                "seed": config.seed,
                "metrics": {"loss": trained.loss},
                "notes": notes(asked.generated, *_skipped(trained, len(asked.images.train))),
                "images_per_second": trained.images_per_second,
            }

        name = f"pretrain-{config.method.name}-{config.aug}-{config.supervision}-{config.arch}-{data.name}-s{config.seed}"
        plain = {
            "kind": "pretrain",
            "data": str(asked.root.resolve()),
            "data_fingerprint": data.fingerprint,
            **config.model_dump(mode="json"),
        }
        return execute(request, name, plain, [config.identity(), data.fingerprint], work, follow=asked.train)


def _skipped(trained: training.Trained, images: int) -> tuple[str, ...]:
    """What a record says of images that were replaced."""
    return (skipping.note(trained.skipped, images),) if trained.skipped else ()


def explain(request: Request, options: Mapping[str, Any]) -> None:
    """Say what `run` would do and what it would take: the resolved configuration, parameters, steps, memory, time."""
    asked = _resolve(request, options, request.device_name())
    config, images, say = asked.config, asked.images.train, Journal(progress=request.progress).say
    changed = config.differences(asked.published)
    for key, value in fields.leaves(config).items():
        say(f"{key}: {value}" + ("  # not as published" if key in changed else ""))
    estimate = planning.plan(config, images=len(images), classes=len(images.classes), device=asked.device)
    for said in filter(None, (asked.lengthening, asked.arithmetic)):
        say(said)
    say(f"{estimate.parameters / 1e6:.1f} million trained parameters")
    recipe = config.recipe
    say(f"{estimate.steps:,} steps: {recipe.epochs} epochs of {len(images):,} images in batches of {recipe.batch}")
    say(f"memory: {estimate.state_mib:.0f} MiB of state, {estimate.activations_mib:.0f} MiB of activations")
    say(f"time: {duration(estimate.seconds)} on one {asked.device}, from a few images timed now")


def configuration(request: Request, options: Mapping[str, Any], device: str) -> tuple[PretrainConfig, PretrainConfig]:
    """The method as published, and the run that the request and the options make of it.

    Raises:
        ConfigError: For an unknown field, or a value that can't be.
    """
    given = fields.merged(_base(request, options), options)
    if given.get("label_list") is not None:
        given.setdefault("supervision", "semi")
    config = PretrainConfig.read(given)
    if config.precision == "auto":
        config = config.replace({"precision": precision_of(device)})
    # The hardware's own precision makes no other protocol of it.
    published = PretrainConfig.published(config.method.name).replace({"precision": config.precision})
    return published, config


def find(request: Request, config: PretrainConfig) -> tuple[Path, ClassificationData, bool]:
    """Where the images are, the ones the configuration means, and whether they are generated.

    Raises:
        BenchError: If they are not there, or not those it means.
    """
    with distributed.first_alone():
        root, generated = places.data_root(request.data, "imagefolder", Journal(progress=request.progress))
    selection = Selection(classes=config.classes, label_map=config.label_map)
    return root, imagefolder.read(root, **selection.arguments(config.seed)), generated


def _resolve(request: Request, options: Mapping[str, Any], device: str) -> _Resolved:
    published, config = configuration(request, options, device)
    root, images, generated = find(request, config)
    config, lengthening = _lengthened(config, root, len(images.train))
    chosen = training.training_set(config, images.train)
    distributed.divided(config.recipe.batch, request.processes)
    return _Resolved(config, published, root, images, chosen, data_ref(images.ref, generated), generated, device, lengthening)


def _lengthened(config: PretrainConfig, root: Path, used: int) -> tuple[PretrainConfig, str]:
    """The configuration with the epochs that keep the iterations of all classes, if it wants that, and what to say of it."""
    recipe = config.recipe
    if not config.keep_iterations or used < recipe.batch:
        return config, ""
    whole = len(image_sets.read(root, "train"))
    epochs = classes.lengthened(recipe.epochs, used, whole, recipe.batch)
    said = (
        f"{recipe.epochs} epochs of all {whole:,} images are {recipe.epochs * (whole // recipe.batch):,} steps: "
        f"{epochs} epochs of these {used:,}, {epochs * (used // recipe.batch):,} steps"
    )
    return config.replace({"epochs": epochs}), said


def recipe_in_words(config: PretrainConfig) -> str:
    """The schedule, for a record."""
    return f"{config.recipe.epochs} epochs of batches of {config.recipe.batch}, learning rate {config.recipe.lr:g}"


def _base(request: Request, options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the configuration. Without one: on the user's data the published method; on generated data a recipe of
    minutes, supervised unless the options ask for another method or for no labels.
    """
    base: dict[str, Any] = {}
    if request.config is not None:
        base = _of_the_method(request.config, options)
    elif places.is_generated(request.data):
        supervised = options.get("method", "supervised") == "supervised" and options.get("supervision") != "self"
        base = places.read_config("pretrain", places.GENERATED if supervised else GENERATED_MOCO)
        if not supervised and options.get("method", methods.DEFAULT) != methods.DEFAULT:
            base = {key: value for key, value in base.items() if key != "method"}
    if request.budget != SMALL:
        return base
    method = str(options.get("method", _name(base)))
    small = {"method": {"name": method, **methods.get(method).small}}
    return fields.merged(base, places.read_config("pretrain", SMALL), small)


def _name(given: Mapping[str, Any]) -> str:
    """The method that a configuration names."""
    method = given.get("method", methods.DEFAULT)
    return str(method.get("name", methods.DEFAULT) if isinstance(method, Mapping) else method)


def _of_the_method(config: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration, which must be of the method that the options name."""
    given = places.read_config("pretrain", config)
    theirs = _name(given)
    wanted = options.get("method", theirs)
    if wanted != theirs:
        raise ConfigError(
            f"the configuration {config} is of another method", seen=f"{theirs}, and --method {wanted}", fix="leave one away"
        )
    return given
