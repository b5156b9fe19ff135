"""`bench ls`: list what exists, each with one line about it."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

from pretrain.core.errors import ConfigError, RecordError

Lines = Iterator[tuple[str, str]]


def show(what: str, name: str | None = None) -> None:
    """Print a list, or the details of one thing in it.

    Raises:
        ConfigError: For an unknown list or thing, or one without details.
    """
    if what not in LISTS:
        raise ConfigError.unknown("list", what, LISTS)
    if name is not None and what not in DETAILS:
        raise ConfigError(f"there is no more to say about {name!r}", seen=f"ls {what} {name}", allowed=", ".join(DETAILS))
    from bench import output

    rows = list(LISTS[what]() if name is None else DETAILS[what](name))
    print("\n".join(output.definitions(rows, output.console())) if rows else f"no {what} yet")


def _tasks() -> Lines:
    from transfer import tasks

    for name in tasks.TASKS:
        task = tasks.get(name)
        schedules = f"; @{', @'.join(task.schedules)}, alone @{task.schedule}" if task.schedule else ""
        yield name, f"{task.title} ({task.layout}; {', '.join(task.metrics)}{schedules})"


def _task(name: str) -> Lines:
    from transfer import tasks

    task = tasks.get(name)
    yield task.protocol, task.title
    yield "version", str(task.version)
    yield "source", task.source
    yield "schedule", task.settings.schedule()
    yield "settings", ", ".join(f"{key}={value}" for key, value in task.settings.numbers().items())
    yield "engines", ", ".join(task.engines)
    yield from (("expected", line) for line in task.expectations())


def _augs() -> Lines:
    from pretrain import augment

    for name in augment.AUGMENTATIONS:
        augmentation = augment.make(name)
        module = importlib.import_module(type(augmentation).__module__)
        yield name, (inspect.getdoc(module) or "").splitlines()[0]


def _methods() -> Lines:
    from pretrain import methods

    for name in methods.METHODS:
        method = methods.get(name)
        said = (method.about, _labels(method.labels), "no blends" if method.refuses_blends else "")
        yield name, "; ".join(filter(None, said))


def _labels(said: str) -> str:
    """Say in a word or two whether a method learns from labels; nothing where it has no use for them."""
    return "" if said == "unused" else f"labels {said}"


def _method(name: str) -> Lines:
    from bench import places
    from pretrain import fields, methods
    from pretrain.config import PretrainConfig
    from transfer.board import method_numbers, published_numbers

    method, published = methods.get(name), PretrainConfig.published(name)
    yield name, method.about
    yield "source", method.source
    yield "version", str(method.version)
    yield "labels", method.labels
    yield "blends", f"refused: {method.refuses_blends}" if method.refuses_blends else "taken"
    if method.statistics is not None:
        yield "batch statistics", str(method.statistics)
    for whole, value in fields.leaves(published).items():
        if whole.startswith(("method.", "recipe.")):
            yield whole, str(value)
    yield from (("small", f"{field}={value}") for field, value in method.small.items())
    yield from (("departs", line) for line in method.departs or ("in nothing known",))
    yield from method_numbers.of_method(method.called, published_numbers.read(places.published()))


def _backbones() -> Lines:
    from pretrain import backbones

    for name in backbones.BACKBONES:
        architecture = backbones.get(name)
        heads = f", {architecture.unseen['heads']} heads" if "heads" in architecture.unseen else ""
        yield name, f"{architecture.width} features{heads}; stems: {', '.join(architecture.stems)}"


def _sources() -> Lines:
    from transfer.sources import SOURCES
    from transfer.sources.addresses import SCHEMES

    for scheme in SCHEMES.values():
        yield scheme.form, scheme.about
    for name, source in SOURCES.items():
        yield name, source.code


def _configs() -> Lines:
    from bench import places

    for kind in ("pretrain", "transfer", "classes"):
        for name, path in places.configs(kind).items():
            yield f"{kind} {name}", path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def _runs() -> Lines:
    from bench.runs.folder import CONFIG, RESULT
    from transfer import record

    for config in sorted(Path("runs").glob(f"*/{CONFIG}")):
        result = config.parent / RESULT
        if not result.is_file():
            yield str(config.parent), "not finished"
            continue
        try:
            metrics = record.read(result).metrics
        except RecordError as error:
            yield str(config.parent), error.wrong
            continue
        yield str(config.parent), ", ".join(f"{k} {'absent' if v is None else f'{v:.2f}'}" for k, v in metrics.items())


LISTS: dict[str, Callable[[], Lines]] = {
    "tasks": _tasks,
    "augs": _augs,
    "methods": _methods,
    "backbones": _backbones,
    "sources": _sources,
    "configs": _configs,
    "runs": _runs,
}
"""Word after `bench ls` → its lines: a name and what it is."""

DETAILS: dict[str, Callable[[str], Lines]] = {"tasks": _task, "methods": _method}
"""Word after `bench ls` → the lines about the thing that is named after it."""
