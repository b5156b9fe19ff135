"""What the options of a pre-training mean: its settings, and its images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.options import SMALL, Setup
from bench.selection import Selection
from pretrain import fields, methods
from pretrain.config import PretrainConfig
from pretrain.core import distributed
from pretrain.core.counts import counted
from pretrain.core.devices import precision_of
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal, Progress
from pretrain.images import classes
from pretrain.images import imageset as image_sets
from pretrain.provenance import Drawn
from transfer.datasets import imagefolder
from transfer.datasets.imagefolder import ClassificationData

GENERATED_MOCO = "shapes-moco"
"""The configuration for contrastive learning on generated data."""


def configuration(
    options: Mapping[str, Any], setup: Setup, data: str | None, device: str
) -> tuple[PretrainConfig, PretrainConfig]:
    """Resolve the method as published, and the run that setup and options make of it.

    Args:
        options: Fields of `PretrainConfig`; they have the last word.
        setup: Of it, the configuration and the budget.
        data: What `--data` says: generated data has configurations of its own.
        device: `cpu` or `cuda`, which decides the precision where nothing else does.

    Raises:
        ConfigError: For an unknown field, or a value that can't be.
    """
    given = fields.merged(_base(options, setup, data), options)
    if given.get("label_list") is not None:
        given.setdefault("supervision", "semi")
    settings = PretrainConfig.read(given)
    if settings.precision == "auto":
        settings = settings.replace({"precision": precision_of(device)})
    # The hardware's own precision makes no other protocol of it.
    own = {"precision": settings.precision, "tf32": settings.tf32}
    published = PretrainConfig.published(settings.method.name).replace(own)
    return published, settings


def find(settings: PretrainConfig, data: str | None, progress: Progress) -> tuple[Path, ClassificationData, bool]:
    """Find the folder of the images, the images that the settings choose, and whether they are generated.

    Raises:
        BenchError: If they are not there, or not those that the settings mean.
    """
    how = Selection(classes=settings.classes, label_map=settings.label_map).arguments(settings.seed)
    with distributed.first_alone():  # the others then map the index that it leaves of a large folder
        root, generated = places.data_root(data, "imagefolder", Journal(progress=progress))
        verify = settings.verify_data and distributed.rank() == 0
        return root, imagefolder.read(root, **how, needs=needs(settings), verify=verify), generated


def needs(settings: PretrainConfig) -> tuple[str, ...]:
    """Say what a pre-training reads of its data beside the training images."""
    labels = (imagefolder.LABELS,) if settings.supervision != "self" or settings.monitor_every else ()
    return (*labels, *((imagefolder.VAL,) if settings.monitor_every else ()))


def lengthened(settings: PretrainConfig, root: Path, used: int) -> tuple[PretrainConfig, str]:
    """Change the epochs so that the iterations are those of all classes, if the settings ask for that.

    Returns:
        The settings, and the arithmetic in words; an empty text where nothing changed.
    """
    recipe = settings.recipe
    if not settings.keep_iterations or used < recipe.batch:
        return settings, ""
    whole = len(image_sets.read(root, "train"))
    epochs = classes.lengthened(recipe.epochs, used, whole, recipe.batch)
    said = (
        f"{counted(recipe.epochs, 'epoch')} of all {whole:,} images are {recipe.epochs * (whole // recipe.batch):,} steps: "
        f"{counted(epochs, 'epoch')} of these {used:,}, {epochs * (used // recipe.batch):,} steps"
    )
    return settings.replace({"epochs": epochs}), said


def drawn(settings: PretrainConfig, root: Path | None) -> Drawn | None:
    """Say what the settings' share of the classes is drawn from; None if they draw none.

    Args:
        settings: As they are given, before `lengthened` changes their epochs.
        root: Folder of the data; None: it isn't read, and its fingerprint is empty.
    """
    if not isinstance(settings.classes, float):
        return None
    fingerprint = "" if root is None else image_sets.whole_fingerprint(root)
    epochs = settings.recipe.epochs if settings.keep_iterations else None
    return Drawn(fingerprint=fingerprint, share=settings.classes, epochs=epochs)


def _base(options: Mapping[str, Any], setup: Setup, data: str | None) -> dict[str, Any]:
    """Fields that the options change: those of the configuration, where one is named. Otherwise on the user's data none, which
    is the published method, and on generated data a recipe of minutes: supervised, unless the options ask for another method
    or for no labels. A small budget changes them last, as its configuration and then the method say; nothing in a
    configuration that extends the small one, and so is of that budget already.
    """
    base: dict[str, Any] = {}
    if setup.config is not None:
        base = _of_the_method(setup.config, options)
    elif places.is_generated(data):
        base = _generated(options)
    if setup.budget != SMALL or (setup.config is not None and places.extends("pretrain", setup.config, SMALL)):
        return base
    method = str(options.get("method", _method_of(base)))
    return fields.merged(base, places.read_config("pretrain", SMALL), _small(method))


def _small(name: str) -> dict[str, Any]:
    """Fields that a small budget changes for one method: its own under its block, and shared ones."""
    method = methods.get(name)
    own = {field: value for field, value in method.small.items() if field in method.model_fields}
    shared = {field: value for field, value in method.small.items() if field not in own}
    return {**shared, "method": {"name": name, **own}}


def _generated(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for the generated data; a method without a configuration of its own there shares MoCo v2's recipe."""
    supervised = options.get("method", "supervised") == "supervised" and options.get("supervision") != "self"
    base = places.read_config("pretrain", places.GENERATED if supervised else GENERATED_MOCO)
    if options.get("method", _method_of(base)) != _method_of(base):
        del base["method"]
    return base


def _method_of(given: Mapping[str, Any]) -> str:
    """Name the method of a configuration."""
    method = given.get("method", methods.DEFAULT)
    return str(method.get("name", methods.DEFAULT) if isinstance(method, Mapping) else method)


def _of_the_method(config: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a configuration, which must be of the method that the options name."""
    given = places.read_config("pretrain", config)
    theirs = _method_of(given)
    wanted = options.get("method", theirs)
    if wanted != theirs:
        seen = f"{theirs}, and --method {wanted}"
        raise ConfigError(f"the configuration {config} is of another method", seen=seen, fix="drop one of the two")
    return given
