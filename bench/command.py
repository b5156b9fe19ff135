"""The command that asks for what a call in Python asked for: a record names it, and the processes of a launcher run it."""

import math
import os
import shlex
from collections.abc import Mapping
from typing import Any

from pretrain.core.errors import ConfigError
from pretrain.core.plain import parse


def written(verb: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Write a command.

    Args:
        verb: The word after `bench`.
        options: Option → value. None and False are options that were not given, True is one without a value.
        settings: What `--set` says: name → value.
    """
    words = ["bench", verb]
    for name, value in options.items():
        if value is not None and value is not False:
            words += [f"--{name.rstrip('_').replace('_', '-')}", *([] if value is True else [_text(value)])]
    for name, value in settings.items():
        words += ["--set", f"{name}={as_yaml(value)}"]
    return shlex.join(words)


def _text(value: Any) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def as_yaml(value: Any) -> str:
    """Write a value as the YAML that is read as it again."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str) and _means(value) == value:
        return value
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _means(text: str) -> Any:
    """Read a text as `--set` does; None where it is no YAML."""
    try:
        return parse(text, where="")
    except ConfigError:
        return None


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a file of them would have them: paths are texts, tuples lists."""

    def inner(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, Mapping):
            return {str(name): inner(each) for name, each in value.items()}
        return [inner(each) for each in value] if isinstance(value, list | tuple) else value

    return {name: inner(value) for name, value in settings.items()}
