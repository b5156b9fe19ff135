"""In which settings rows differ, in few words: of nested values the leaves that differ, and no others.

An example: beside a run of Barlow Twins with its published groups, `[{"match": "vectors", "lr_factor": 0.024, …}]`, one with
a factor of 1 is called `recipe.groups lr_factor 1.0`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pretrain.core.errors import ConfigError

MOST = 3
"""Leaves of one setting that are named."""


def differing(mine: Mapping[str, Any], others: Sequence[Mapping[str, Any]], method: str, version: int | None) -> list[str]:
    """Say the settings in which some of several rows differ; what one of them doesn't name is as published.

    Args:
        mine: Setting → value, of the row that is called so.
        others: Those of all rows, its own too.
        method: Of the rows.
        version: Of the method, in this row.
    """
    names = sorted({name for settings in others for name in settings})
    found = [name for name in names if len({json.dumps(settings.get(name)) for settings in others}) > 1]
    return [_said(name, mine, others, method, version) for name in found]


def _said(name: str, mine: Mapping[str, Any], others: Sequence[Mapping[str, Any]], method: str, version: int | None) -> str:
    if name not in mine:
        return f"{name} as published"
    if not _is_nested(mine[name]):
        return f"{name} {_plain(mine[name])}"
    whole = [settings[name] if name in settings else _published(method, version).get(name) for settings in others]
    leaves, theirs = _leaves(mine[name]), [_leaves(value) for value in whole if value is not None]
    words = [
        f"{path} {_plain(leaf)}".strip()
        for path, leaf in leaves.items()
        if any(path not in other or other[path] != leaf for other in theirs)
    ]
    words += [f"no {path}" for path in dict.fromkeys(path for other in theirs for path in other) if path not in leaves]
    if not words:  # alone with it, beside a published run that is not known here
        return f"{name} not as published"
    shown = ", ".join(words[:MOST]) + (f" and {len(words) - MOST} more" if len(words) > MOST else "")
    return f"{name} {shown}" if len(words) == 1 else f"{name} ({shown})"


@cache
def _published(method: str, version: int | None) -> Mapping[str, Any]:
    """Return the settings of a method's published run by their whole names; none of a method or version that is not ours."""
    from pretrain.config import PretrainConfig  # for seconds, which few reports need

    try:
        published = PretrainConfig.published(method)
    except ConfigError:
        return {}
    return published.numbers() if published.method.version == version else {}


def _is_nested(value: Any) -> bool:
    """Tell whether a value has parts with names; a list of numbers is one value."""
    return isinstance(value, Mapping) or (isinstance(value, list) and any(map(_is_nested, value)))


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Return what stands in a nested value: names and places that lead there → a number, a text or a list of them.

    The places in a list count from 1; in a list of one none is said.
    """
    if isinstance(value, Mapping):
        inside = {str(name): each for name, each in value.items()}
    elif _is_nested(value):
        inside = {str(place) if len(value) > 1 else "": each for place, each in enumerate(value, start=1)}
    else:
        return {path: value}
    return {key: leaf for name, each in inside.items() for key, leaf in _leaves(each, f"{path} {name}".strip()).items()}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
