"""`bench pretrain`: make a backbone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import places
from bench.selection import Selection
from bench.verbs import SMALL, Finished, Request, checkpoint_ref, data_ref, execute, notes
from pretrain import methods
from pretrain import plan as planning
from pretrain import train as training
from pretrain.config import PretrainConfig
from pretrain.core import distributed
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal, duration
from pretrain.images import classes, skipping
from pretrain.images import imageset as image_sets
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
    data: Data
    generated: bool
    device: str
    lengthening: str
    """What was done to the epochs to keep the iterations; empty for nothing."""

    @property
    def arithmetic(self) -> str:
        """How the learning rate follows from the batch."""
        return f"learning rate {self.config.base_lr:g} × {self.config.batch} / 256 = {self.config.lr:g}"

    def train(self, journal: Journal, folder: Path) -> training.Trained:
        """This process's part of the training."""
        config = self.config
        watch = monitor(self.images, arch=config.arch, size=config.size, batch=config.batch, device=self.device)
        return training.train(
            config,
            self.images.train,
            folder,
            journal,
            data=self.data.name,
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
                "protocol": config.method,
                "version": 1,
                "changed": config.differences(asked.published),
                "engine": "pretrain",
                "schedule": f"{config.epochs} epochs of batches of {config.batch}, learning rate {config.lr:g}",
                "checkpoint": checkpoint_ref(sources.load(str(trained.backbone))),
                "data": data,
                "seed": config.seed,
                "metrics": {"loss": trained.loss},
                "notes": notes(asked.generated, *_skipped(trained, len(asked.images.train))),
                "images_per_second": trained.images_per_second,
            }

        name = f"pretrain-{config.method}-{config.aug}-{config.supervision}-{config.arch}-{data.name}-s{config.seed}"
        plain = {
            "kind": "pretrain",
            "data": str(asked.root.resolve()),
            "data_fingerprint": data.fingerprint,
            **config.model_dump(mode="json"),
        }
        return execute(request, name, plain, [config.numbers(), data.fingerprint], work, follow=asked.train)


def _skipped(trained: training.Trained, images: int) -> tuple[str, ...]:
    """What a record says of images that were replaced."""
    return (skipping.note(trained.skipped, images),) if trained.skipped else ()


def explain(request: Request, options: Mapping[str, Any]) -> None:
    """Say what `run` would do and what it would take: the resolved configuration, parameters, steps, memory, time."""
    asked = _resolve(request, options, request.device_name())
    config, images, say = asked.config, asked.images.train, Journal(progress=request.progress).say
    changed = config.differences(asked.published)
    for key, value in config.model_dump(mode="json").items():
        say(f"{key}: {value}" + ("  # not as published" if key in changed else ""))
    estimate = planning.plan(config, images=len(images), classes=len(images.classes), device=asked.device)
    for said in filter(None, (asked.lengthening, asked.arithmetic)):
        say(said)
    say(f"{estimate.parameters / 1e6:.1f} million trained parameters")
    say(f"{estimate.steps:,} steps: {config.epochs} epochs of {len(images):,} images in batches of {config.batch}")
    say(f"memory: {estimate.state_mib:.0f} MiB of state, {estimate.activations_mib:.0f} MiB of activations")
    say(f"time: {duration(estimate.seconds)} on one {asked.device}, from a few images timed now")


def configuration(request: Request, options: Mapping[str, Any], device: str) -> tuple[PretrainConfig, PretrainConfig]:
    """The method as published, and the run that the request and the options make of it.

    Raises:
        ConfigError: For an unknown field, or a value that can't be.
    """
    fields = {**_base(request, options), **options}
    if fields.get("label_list") is not None:
        fields.setdefault("supervision", "semi")
    if fields.get("precision", "auto") == "auto":
        fields["precision"] = precision_of(device)
    method = str(fields.get("method", "mocov2"))
    # The hardware's own precision makes no other protocol of it.
    published = PretrainConfig.read({**methods.get(method).defaults, "method": method, "precision": fields["precision"]})
    return published, published.replace(fields, where="the configuration")


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
    training.check(config, images.train)
    distributed.divided(config.batch, request.processes)
    return _Resolved(config, published, root, images, data_ref(images.ref, generated), generated, device, lengthening)


def _lengthened(config: PretrainConfig, root: Path, used: int) -> tuple[PretrainConfig, str]:
    """The configuration with the epochs that keep the iterations of all classes, if it wants that, and what to say of it."""
    if not config.keep_iterations or used < config.batch:
        return config, ""
    whole = len(image_sets.read(root, "train"))
    epochs = classes.lengthened(config.epochs, used, whole, config.batch)
    said = (
        f"{config.epochs} epochs of all {whole:,} images are {config.epochs * (whole // config.batch):,} steps: "
        f"{epochs} epochs of these {used:,}, {epochs * (used // config.batch):,} steps"
    )
    return config.replace({"epochs": epochs}), said


def _base(request: Request, options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the configuration. Without one: on the user's data the published method; on generated data a recipe of
    minutes, supervised unless the options ask for another method or for no labels.
    """
    small = places.read_config("pretrain", SMALL) if request.budget == SMALL else {}
    if request.config is not None:
        return {**_of_the_method(request.config, options), **small}
    if places.is_generated(request.data):
        supervised = options.get("method", "supervised") == "supervised" and options.get("supervision") != "self"
        return {**places.read_config("pretrain", places.GENERATED if supervised else GENERATED_MOCO), **small}
    return small


def _of_the_method(config: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration, which must be of the method that the options name."""
    fields = places.read_config("pretrain", config)
    theirs = fields.get("method", "mocov2")
    wanted = options.get("method", theirs)
    if wanted != theirs:
        raise ConfigError(
            f"the configuration {config} is of another method", seen=f"{theirs}, and --method {wanted}", fix="leave one away"
        )
    return fields
