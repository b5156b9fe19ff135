"""`bench ls`: list what exists, each with one line about it."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.answers import Entry, Listed
from pretrain.core.errors import ConfigError, RecordError

Lines = Iterator[Entry]


def show(what: str = "lists", name: str | None = None, *, as_json: bool = False) -> None:
    """Print a list, or the details of one thing in it.

    Raises:
        ConfigError: For an unknown list or thing, or one without details.
    """
    if what not in LISTS:
        raise ConfigError.unknown("list", what, LISTS)
    if name is not None and what not in DETAILS:
        raise ConfigError(f"there is no more to say about {name!r}", seen=f"ls {what} {name}", allowed=", ".join(DETAILS))
    listed = Listed(what=what, name=name, entries=list(LISTS[what]() if name is None else DETAILS[what](name)))
    if as_json:
        return listed.show()
    from bench import output

    rows = [(entry.name, entry.about) for entry in listed.entries]
    return print("\n".join(output.definitions(rows, output.console())) if rows else f"no {what} yet")


def _tasks() -> Lines:
    """What backbones are transferred to, each by its protocol (`bench ls tasks NAME` says more)."""
    from transfer import tasks

    for name in tasks.TASKS:
        task = tasks.get(name)
        schedules = f"; @{', @'.join(task.schedules)}, alone @{task.schedule}" if task.schedule else ""
        about = f"{task.title} ({task.layout}; {', '.join(task.metrics)}{schedules})"
        says = {"schedules": [*task.schedules], "schedule": task.schedule} if task.schedule else {}
        yield Entry(name, about, {"layout": task.layout, "metrics": [*task.metrics], **says})


def _task(name: str) -> Lines:
    from transfer import tasks

    task = tasks.get(name)
    yield Entry(task.protocol, task.title)
    yield _value("version", task.version)
    yield Entry("source", task.source)
    yield Entry("schedule", task.settings.schedule())
    settings = task.settings.numbers()
    yield Entry("settings", ", ".join(f"{key}={value}" for key, value in settings.items()), settings)
    yield Entry("engines", ", ".join(task.engines), [*task.engines])
    yield from (Entry("expected", line) for line in task.expectations())


def _value(name: str, value: Any) -> Entry:
    """Say a value as it is written."""
    return Entry(name, str(value), value)


def _augs() -> Lines:
    """Augmentations, for --aug."""
    from pretrain import augment

    for name in augment.AUGMENTATIONS:
        augmentation = augment.make(name)
        module = importlib.import_module(type(augmentation).__module__)
        yield Entry(name, (inspect.getdoc(module) or "").splitlines()[0])


def _methods() -> Lines:
    """Methods of pre-training, for --method (`bench ls methods NAME` says more)."""
    from pretrain import methods

    for name in methods.METHODS:
        method = methods.get(name)
        said = (method.about, _labels(method.labels), "no blends" if method.refuses_blends else "")
        yield Entry(name, "; ".join(filter(None, said)), {"labels": method.labels, "blends": not method.refuses_blends})


def _labels(said: str) -> str:
    """Say in a word or two whether a method learns from labels; nothing where it has no use for them."""
    return "" if said == "unused" else f"labels {said}"


def _method(name: str) -> Lines:
    from bench import places
    from pretrain import fields, methods
    from pretrain.config import PretrainConfig
    from transfer.board import method_numbers, published_numbers

    method, published = methods.get(name), PretrainConfig.published(name)
    yield Entry(name, method.about)
    yield Entry("source", method.source)
    yield _value("version", method.version)
    yield Entry("labels", method.labels)
    yield Entry("blends", f"refused: {method.refuses_blends}" if method.refuses_blends else "taken", not method.refuses_blends)
    if method.statistics is not None:
        yield Entry("batch statistics", str(method.statistics))
    for whole, value in fields.leaves(published).items():
        if whole.startswith(("method.", "recipe.")):
            yield _value(whole, value)
    yield from (Entry("small", f"{field}={value}", {field: value}) for field, value in method.small.items())
    yield from (Entry("departs", line) for line in method.departs or ("in nothing known",))
    yield from (Entry(*line) for line in method_numbers.of_method(method.called, published_numbers.read(places.published())))


def _backbones() -> Lines:
    """Architectures, for --arch."""
    from pretrain import backbones

    for name in backbones.BACKBONES:
        architecture = backbones.get(name)
        heads = architecture.unseen.get("heads")
        about = f"{architecture.width} features{f', {heads} heads' if heads else ''}; stems: {', '.join(architecture.stems)}"
        yield Entry(name, about, {"features": architecture.width, "heads": heads, "stems": [*architecture.stems]})


def _sources() -> Lines:
    """What --ckpt takes: addresses, and the code bases whose files are recognised."""
    from transfer.sources import SOURCES
    from transfer.sources.addresses import SCHEMES

    for scheme in SCHEMES.values():
        yield Entry(scheme.form, scheme.about, {"kind": "address"})
    for name, source in SOURCES.items():
        yield Entry(name, source.code, {"kind": "codebase"})


def _configs() -> Lines:
    """Configurations, for --config."""
    from bench import places

    for kind in ("pretrain", "transfer", "classes"):
        for name, path in places.configs(kind).items():
            about = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            yield Entry(f"{kind} {name}", about, {"kind": kind, "name": name, "file": str(path)})


def _runs() -> Lines:
    """The runs in `runs`, with what they measured."""
    from bench.runs.folder import CONFIG, RESULT
    from transfer import record

    for config in sorted(Path("runs").glob(f"*/{CONFIG}")):
        result = config.parent / RESULT
        if not result.is_file():
            yield Entry(str(config.parent), "not finished", {"finished": False})
            continue
        try:
            metrics = record.read(result).metrics
        except RecordError as error:
            yield Entry(str(config.parent), error.wrong, {"finished": False})
            continue
        about = ", ".join(f"{k} {'absent' if v is None else f'{v:.2f}'}" for k, v in metrics.items())
        yield Entry(str(config.parent), about, {"finished": True, "metrics": metrics})


def _lists() -> Lines:
    for name, rows in LISTS.items():
        if rows is not _lists:
            yield Entry(name, (inspect.getdoc(rows) or "").rstrip("."))


LISTS: dict[str, Callable[[], Lines]] = {
    "lists": _lists,
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
