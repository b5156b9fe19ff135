"""Fields of settings as a person types them, and conditions on them."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from bench.cli.tables import PRETRAIN
from bench.study.file import Fields
from pretrain import fields
from pretrain.core.errors import ConfigError
from pretrain.core.settings import Settings

OPTIONS = frozenset(name for names in PRETRAIN.fields.values() for name in names)
"""Fields of a pre-training that have an option of their own."""


def combinations(grid: Mapping[str, list[Any]], zipped: Mapping[str, list[Any]]) -> Iterator[Fields]:
    """Yield every combination of a grid's values, the first field slowest, each with every row of what is zipped."""
    axes = [[{name: value} for value in values] for name, values in grid.items()]
    if zipped:
        axes.append([dict(zip(zipped, row, strict=True)) for row in zip(*zipped.values(), strict=True)])
    for chosen in itertools.product(*axes):
        yield {name: value for each in chosen for name, value in each.items()}


def typed(options: Mapping[str, Any], plain: frozenset[str] = frozenset()) -> list[str]:
    """Write fields as words of a command: `--aug cutmix` for the `plain` ones, `--set queue=64` for the others."""
    words: list[str] = []
    for name, value in options.items():
        if name in plain and isinstance(value, str | int | float) and not isinstance(value, bool):
            words += [f"--{name.replace('_', '-')}", str(value)]
        else:
            words += ["--set", f"{name}={_text(value)}"]
    return words


def _text(value: Any) -> str:
    """Write a value as YAML of one line; a text that YAML would take for something else in quotes."""
    if isinstance(value, str) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)


def named(settings: Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by their whole names, by their last words where these are of one field, and as they were given."""
    whole = fields.leaves(settings)
    last: dict[str, list[str]] = {}
    for name in whole:
        last.setdefault(name.rpartition(".")[2], []).append(name)
    short = {word: whole[names[0]] for word, names in last.items() if len(names) == 1}
    return {**whole, **short, **given}


def fits(values: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """Return whether values are those of a condition: field → value, or a list of values; what is absent is null."""
    return all(values.get(name) in (wanted if isinstance(wanted, list) else [wanted]) for name, wanted in condition.items())


def require_known(condition: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse a condition on a field that nothing has.

    Raises:
        ConfigError: With the nearest name.
    """
    names = set(known)
    for name in condition:
        if name not in names:
            raise ConfigError.unknown(f"field in {where}:", name, {each.rpartition(".")[2] for each in names})
