"""Options that are fields of settings: their type and help are read from the fields' annotations and docstrings.

The source is parsed, not imported: `bench --help` needs neither pydantic nor torch.
"""

import ast
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

import typer

from bench.cli import completion
from bench.cli.completion import ROOT

TYPES: Mapping[str, tuple[Any, Any]] = {"int": (int | None, None), "float": (float | None, None), "bool": (bool, False)}
"""Annotation, without its `| None` → type and default of the option. That of any other field is a text, which the settings
check."""
TEXT: tuple[Any, Any] = (str | None, None)


@dataclass(frozen=True)
class Documented:
    """A field as its class declares it."""

    type: tuple[Any, Any]
    """Type of its option, and its default: None or False, which mean that the option is not given."""
    help: str
    """First sentence of its docstring, with the values of a `Literal`."""


@dataclass(frozen=True)
class FieldOptions:
    """Options for some fields of settings classes. A command gets a mapping of those that were given."""

    title: str
    """Heading in the help."""
    fields: Mapping[str, tuple[str, ...]]
    """`path/of/module.py:Class` → names of its fields that have an option."""
    lists: Mapping[str, str] = field(default_factory=dict)
    """Field → what `bench ls` lists its values under."""

    def parameters(self) -> Iterator[inspect.Parameter]:
        """One parameter for each option, in typer's form."""
        for source, names in self.fields.items():
            for name in names:
                declared = documented(source)[name]
                listed = f" `bench ls {self.lists[name]}` lists them." if name in self.lists else ""
                completed = completion.of(self.lists[name]) if self.lists.get(name) in completion.TABLES else None
                option = typer.Option(help=declared.help + listed, rich_help_panel=self.title, autocompletion=completed)
                kind, default = declared.type
                annotation: Any = Annotated[kind, option]
                yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    def build(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the options that were given."""
        names = (name for names in self.fields.values() for name in names)
        return {name: given[name] for name in names if given[name] is not None and given[name] is not False}


@cache
def documented(source: str) -> dict[str, Documented]:
    """Read the fields of a settings class, `path/of/module.py:Class`, that have a docstring."""
    return {field: Documented(_type(annotation), _help(text, annotation)) for field, annotation, text in declared(source)}


def declared(source: str) -> Iterator[tuple[str, ast.expr, str]]:
    """Yield the name, annotation and docstring of each field of a class, `path/of/module.py:Class`, that has a docstring."""
    path, _, name = source.partition(":")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    for line, doc in itertools.pairwise(body):
        match line, doc:
            case ast.AnnAssign(target=ast.Name(id=found), annotation=annotation), ast.Expr(value=ast.Constant(value=str(text))):
                yield found, annotation, inspect.cleandoc(text)


def _type(annotation: ast.expr) -> tuple[Any, Any]:
    return TYPES.get(ast.unparse(annotation).removesuffix(" | None"), TEXT)


def _help(text: str, annotation: ast.expr) -> str:
    sentence = re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0].replace("[", r"\[")  # no markup for rich
    values = ", ".join(_values(annotation))
    return f"{sentence} One of: {values}." if values else sentence


def _values(annotation: ast.expr) -> Iterator[str]:
    """The values of a `Literal` in an annotation."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            for value in ast.walk(node.slice):
                if isinstance(value, ast.Constant):
                    yield str(value.value)
