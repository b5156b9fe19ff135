"""What the options of a pre-training mean: its settings, and its images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.options import SMALL, Setup
from bench.selection import Selection
from pretrain import methods
from pretrain.config import PretrainConfig
from pretrain.core import distributed
from pretrain.core.errors import ConfigError
from pretrain.core.journal import Journal, Progress
from pretrain.images import classes
from pretrain.images import imageset as image_sets
from pretrain.trainer import precision_of
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
    fields = {**_base(options, setup, data), **options}
    if fields.get("label_list") is not None:
        fields.setdefault("supervision", "semi")
    if fields.get("precision", "auto") == "auto":
        fields["precision"] = precision_of(device)
    method = str(fields.get("method", "mocov2"))
    # The hardware's own precision makes no other protocol of it.
    published = PretrainConfig.read({**methods.get(method).defaults, "method": method, "precision": fields["precision"]})
    return published, published.replace(fields, where="the configuration")


def find(settings: PretrainConfig, data: str | None, progress: Progress) -> tuple[Path, ClassificationData, bool]:
    """Find the folder of the images, the images that the settings choose, and whether they are generated.

    Raises:
        BenchError: If they are not there, or not those that the settings mean.
    """
    with distributed.first_alone():
        root, generated = places.data_root(data, "imagefolder", Journal(progress=progress))
    selection = Selection(classes=settings.classes, label_map=settings.label_map)
    return root, imagefolder.read(root, **selection.arguments(settings.seed)), generated


def lengthened(settings: PretrainConfig, root: Path, used: int) -> tuple[PretrainConfig, str]:
    """Change the epochs so that the iterations are those of all classes, if the settings ask for that.

    Returns:
        The settings, and the arithmetic in words; an empty text where nothing changed.
    """
    if not settings.keep_iterations or used < settings.batch:
        return settings, ""
    whole = len(image_sets.read(root, "train"))
    epochs = classes.lengthened(settings.epochs, used, whole, settings.batch)
    said = (
        f"{settings.epochs} epochs of all {whole:,} images are {settings.epochs * (whole // settings.batch):,} steps: "
        f"{epochs} epochs of these {used:,}, {epochs * (used // settings.batch):,} steps"
    )
    return settings.replace({"epochs": epochs}), said


def _base(options: Mapping[str, Any], setup: Setup, data: str | None) -> dict[str, Any]:
    """Fields that the options change: those of the configuration, where one is named. Otherwise on the user's data none, which
    is the published method, and on generated data a recipe of minutes: supervised, unless the options ask for another method
    or for no labels. A small budget changes them last.
    """
    small = places.read_config("pretrain", SMALL) if setup.budget == SMALL else {}
    if setup.config is not None:
        return {**_of_the_method(setup.config, options), **small}
    if places.is_generated(data):
        supervised = options.get("method", "supervised") == "supervised" and options.get("supervision") != "self"
        return {**places.read_config("pretrain", places.GENERATED if supervised else GENERATED_MOCO), **small}
    return small


def _of_the_method(config: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a configuration, which must be of the method that the options name."""
    fields = places.read_config("pretrain", config)
    theirs = fields.get("method", "mocov2")
    wanted = options.get("method", theirs)
    if wanted != theirs:
        raise ConfigError(
            f"the configuration {config} is of another method", seen=f"{theirs}, and --method {wanted}", fix="leave one away"
        )
    return fields
