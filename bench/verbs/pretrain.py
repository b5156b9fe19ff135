"""`bench pretrain`: make a backbone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.verbs import SMALL, Finished, Request, execute, named, notes, reference
from pretrain import classes, methods
from pretrain import images as image_sets
from pretrain import train as training
from pretrain.config import PretrainConfig
from pretrain.journal import Journal
from transfer import sources
from transfer.datasets import imagefolder

GENERATED_MOCO = "shapes-moco"
"""The configuration for contrastive learning on generated data."""


def run(request: Request, options: Mapping[str, Any]) -> Finished:
    """Pre-train a backbone; `options` are fields of `PretrainConfig` and have the last word.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    fields = {**_base(request, options), **options}
    if fields.get("label_list") is not None:
        fields.setdefault("supervision", "semi")
    published = PretrainConfig.read({**methods.get(str(fields.get("method", "mocov2"))).defaults, **_name(fields)})
    config = published.replace(fields, where="the configuration")
    root, generated = places.data_root(request.data, "imagefolder", Journal(progress=request.progress))
    images = imagefolder.read(root, classes=_classes(config), labels=_label_map(config), seed=config.seed)
    config, lengthening = _lengthened(config, root, len(images.train))
    data = named(images.ref, generated)
    training.check(config, images.train)

    def work(journal: Journal, folder: Path) -> dict[str, Any]:
        if request.resume and not (folder / training.STATE).is_file():
            journal.say(f"nothing saved in {folder} yet: starting at step 0")
        if lengthening:
            journal.say(lengthening)
        journal.say(f"learning rate {config.base_lr:g} × {config.batch} / 256 = {config.lr:g}")
        trained = training.train(
            config, images.train, folder, journal, data=data.name, device=request.device_name(), announce_time=not generated
        )
        return {
            "kind": "pretrain",
            "task": "pretrain",
            "protocol": config.method,
            "version": 1,
            "changed": config.differences(published),
            "engine": "pretrain",
            "schedule": f"{config.epochs} epochs of batches of {config.batch}, learning rate {config.lr:g}",
            "checkpoint": reference(sources.load(str(trained.backbone))),
            "data": data,
            "seed": config.seed,
            "metrics": {"loss": trained.loss},
            "notes": notes(generated),
            "images_per_second": trained.images_per_second,
        }

    name = f"pretrain-{config.method}-{config.aug}-{config.supervision}-{config.arch}-{data.name}-s{config.seed}"
    plain = {
        "kind": "pretrain",
        "data": str(root.resolve()),
        "data_fingerprint": data.fingerprint,
        **config.model_dump(mode="json"),
    }
    return execute(request, name, plain, [config.numbers(), data.fingerprint], work)


def _classes(config: PretrainConfig) -> float | list[str] | None:
    """The class folders the configuration means, or the share of them."""
    if config.classes is None or isinstance(config.classes, float):
        return config.classes
    listed = places.class_list(config.classes) if isinstance(config.classes, str) else Path(config.classes.path)
    return classes.read_list(listed)


def _label_map(config: PretrainConfig) -> dict[str, str] | None:
    return None if config.label_map is None else classes.read_map(Path(config.label_map.path))


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
        return {**places.read_config("pretrain", request.config), **small}
    if places.is_generated(request.data):
        supervised = options.get("method", "supervised") == "supervised" and options.get("supervision") != "self"
        return {**places.read_config("pretrain", places.GENERATED if supervised else GENERATED_MOCO), **small}
    return small


def _name(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"method": fields["method"]} if "method" in fields else {}
