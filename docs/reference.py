"""Makes the reference of the code: settings, what the tables hold, the command line, the Python interface, records.

`python docs/reference.py FOLDER` writes the pages; `make docs` does so before it builds.
"""

import ast
import importlib.metadata
import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from bench.answers import ANSWERS, parts
from bench.cli import app
from bench.cli.fields import ROOT, declared
from bench.cli.listing import LISTS
from bench.runs.environment import PROJECT
from pretrain import methods
from pretrain.config import PretrainConfig
from pretrain.core.settings import Settings
from transfer import tasks
from transfer.record import RunRecord
from transfer.representation.settings import MeasureSettings

Rows = Iterable[tuple[str, ...]]


def write(folder: Path) -> None:
    """Write a page for each of `PAGES`, and their index, into a folder. Pages that stay the same are not touched."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"- [{title}]({name}.md)\n" for name, (title, _) in PAGES.items())
    contents = "\n".join(PAGES)
    pages = {"index": f"# Reference\n\nMade of the code.\n\n{listed}\n```{{toctree}}\n:hidden:\n{contents}\n```\n"}
    pages |= {name: f"# {title}\n\n" + "\n\n".join(make()) + "\n" for name, (title, make) in PAGES.items()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _settings() -> Iterator[str]:
    yield "Every field that `--set` takes; its short name will do where that is unambiguous."
    yield from _model("`bench pretrain`", PretrainConfig, PretrainConfig.published(methods.DEFAULT))
    for name in methods.METHODS:
        yield from _model(f"The method `{name}`", methods.get(name))
    for name in tasks.TASKS:
        settings = tasks.get(name).settings
        yield from _model(f"The task `{name}`", type(settings), settings)
    yield from _model("`bench measure`", MeasureSettings, MeasureSettings())


def _model(title: str, model: type[BaseModel], values: BaseModel | None = None) -> Iterator[str]:
    yield f"## {title}"
    said = _docstrings(model)
    known = {} if values is None else values.model_dump(mode="json")
    rows = []
    for name, field in model.model_fields.items():
        value = known.get(name, None if field.is_required() else field.get_default(call_default_factory=True))
        rows.append((f"`{name}`", f"`{_short(value)}`", said.get(name, "")))
    yield _table(("field", "default", "what it is"), rows)


def _docstrings(model: type) -> dict[str, str]:
    """Return what stands below each field of a class and of the classes that it extends."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, Settings) or each is Settings:
            continue
        path = Path(str(inspect.getsourcefile(each))).relative_to(ROOT)
        found |= {field: text for field, _, text in declared(f"{path}:{each.__name__}")}
    return found


def _tables() -> Iterator[str]:
    yield "What `bench ls NAME` prints."
    for name, rows in LISTS.items():
        if name not in ("lists", "runs"):
            yield f"## {name}"
            yield _table(("name", "what it is"), ((f"`{each.name}`", each.about) for each in rows()))


def _commands() -> Iterator[str]:
    yield from _command(typer.main.get_command(app), "bench")


def _command(command: Any, name: str) -> Iterator[str]:
    if commands := getattr(command, "commands", None):
        for each, below in commands.items():
            yield from _command(below, f"{name} {each}")
        return
    yield f"## `{name}`"
    yield inspect.cleandoc(command.help or "")
    rows = []
    for parameter in command.params:
        names = ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))
        rows.append((names, getattr(parameter, "help", None) or ""))
    yield _table(("option", "what it does"), rows)


def _records() -> Iterator[str]:
    yield "Every run writes one `result.json`. Its schema, as JSON Schema, field by field:"
    for model in (RunRecord, *_parts(RunRecord)):
        yield from _model(f"`{model.__name__}`", model)
    yield "## JSON Schema"
    yield f"```json\n{json.dumps(RunRecord.model_json_schema(), indent=1)}\n```"


def _answers() -> Iterator[str]:
    yield (
        "With `--json` a command prints one JSON object on standard output and nothing else there; progress and notes go to "
        "standard error. What is wrong with data or records is part of the answer, and the exit code is 2. What is wrong with "
        "the question, such as an unknown task or a folder that is not there, is a message on standard error, nothing on "
        "standard output, and exit code 2."
    )
    yield (
        "Fields are only added. A change that an older reader would misread raises `schema_version`. `bench study plan --json` "
        "and `bench study status --json` print the cells of a study in a form of their own ([studies](../study.md))."
    )
    for command, answer in ANSWERS.items():
        yield f"## `{command} --json`"
        yield inspect.cleandoc(answer.__doc__ or "")
        for part in parts(answer):
            if part is not answer:
                yield f"Each `{part.__name__}`: {inspect.cleandoc(part.__doc__ or '')}"
            yield _table(("field", "type", "what it is"), _fields(part))


def _fields(answer: type) -> Iterator[tuple[str, ...]]:
    for each in answer.__mro__[-2::-1]:
        path = Path(str(inspect.getsourcefile(each))).relative_to(ROOT)
        for name, annotation, text in declared(f"{path}:{each.__name__}"):
            yield f"`{name}`", f"`{ast.unparse(annotation)}`", text


def _parts(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield field.annotation


def _api() -> Iterator[str]:
    if importlib.util.find_spec("bench.api") is None:
        return
    from bench import api

    yield inspect.cleandoc(api.__doc__ or "")
    for name, function in inspect.getmembers(api, inspect.isfunction):
        if function.__module__ == api.__name__ and not name.startswith("_"):
            yield f"## `{name}`"
            yield f"```text\n{name}{inspect.signature(function)}\n```"
            yield inspect.cleandoc(function.__doc__ or "")


def _dependencies() -> Iterator[str]:
    yield "What the project asks for, in which extra, and the licence that each states. Their own dependencies have theirs."
    rows = []
    for required in importlib.metadata.requires(PROJECT) or ():
        name, extra = re.match(r"[\w.-]+", required), re.search(r"extra == ['\"](\w+)", required)
        if name and name[0] != PROJECT:
            rows.append(
                (extra[1] if extra else "", f"`{name[0]}`", required.partition(";")[0][len(name[0]) :], _licence(name[0]))
            )
    yield _table(("extra", "package", "versions", "licence"), sorted(rows))


def _licence(package: str) -> str:
    try:
        said = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed here"
    marks = [each.rpartition("::")[2].strip() for each in said.get_all("Classifier") or () if each.startswith("License ::")]
    text = (said.get("License") or "").strip()
    return said.get("License-Expression") or (text if "\n" not in text else "") or ", ".join(marks) or "see its files"


def _table(heads: tuple[str, ...], rows: Rows) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(each) for each in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 90 else text[:87] + "..."


PAGES: dict[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "commands": ("Command line", _commands),
    "api": ("Python interface", _api),
    "settings": ("Settings", _settings),
    "tables": ("Methods, augmentations, tasks, backbones, sources", _tables),
    "records": ("Records", _records),
    "answers": ("What `--json` prints", _answers),
    "dependencies": ("Dependencies and their licences", _dependencies),
}
"""Name of a page → its title and what makes its paragraphs."""

if __name__ == "__main__":
    write(Path(sys.argv[1]))
