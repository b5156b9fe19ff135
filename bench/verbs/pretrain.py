"""`bench pretrain`: make a backbone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import places
from bench.verbs import SMALL, Finished, Request, execute, named, notes, reference
from pretrain import methods
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
    published, config = configuration(request, options)
    root, generated = places.data_root(request.data, "imagefolder", Journal(progress=request.progress))
    images = imagefolder.read(root)
    data = named(images.ref, generated)
    training.check(config, images.train)

    def work(journal: Journal, folder: Path) -> dict[str, Any]:
        if request.resume and not (folder / training.STATE).is_file():
            journal.say(f"nothing saved in {folder} yet: starting at step 0")
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


def configuration(request: Request, options: Mapping[str, Any]) -> tuple[PretrainConfig, PretrainConfig]:
    """The method as published, and the run that the request and the options make of it.

    Raises:
        ConfigError: For an unknown field, or a value that can't be.
    """
    fields = {**_base(request, options), **options}
    published = PretrainConfig.read({**methods.get(str(fields.get("method", "mocov2"))).defaults, **_name(fields)})
    return published, published.replace(fields, where="the configuration")


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
