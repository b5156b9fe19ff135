"""Values that a setting may have, from whatever a YAML file or a command line holds: bounded, finite, and plain."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pretrain.core.errors import ConfigError

DEPTH = 20
"""Lists and mappings inside each other."""
VALUES = 200_000
"""All values together, those behind an alias counted wherever it stands: a few lines of aliases can mean billions."""
MOST_TEXT = 2**21
"""Characters of a YAML file; a label map of ImageNet's 21,841 classes has a quarter of that."""
MOST_INT = 2**63
"""Integers from here on fit nowhere."""
SHOWN = 200
"""Characters of a wrong value that a message shows."""


def require_plain(value: Any, where: str, keys: tuple[type, ...] = (str,)) -> None:
    """Refuse a value that is no tree of texts, finite numbers, truth values, nulls, lists and mappings.

    Args:
        value: What was read.
        where: It stands, for the message.
        keys: Types of a mapping's keys.

    Raises:
        ConfigError: With the first thing that is wrong.
    """
    _Check(where, keys).size(value, 0)


class _Check:
    """A container that occurs several times is looked at once, and counted each time."""

    def __init__(self, where: str, keys: tuple[type, ...]) -> None:
        self._where, self._keys = where, keys
        self._known: dict[int, int] = {}

    def size(self, value: Any, depth: int) -> int:
        """How many values it is with all inside it."""
        if not isinstance(value, (Mapping, list, tuple)):
            self._require_scalar(value)
            return 1
        if depth > DEPTH:
            raise self._error(f"lists or mappings more than {DEPTH} deep", "fewer levels")
        if id(value) not in self._known:
            if isinstance(value, Mapping):
                self._require_keys(value)
            inside = value.values() if isinstance(value, Mapping) else value
            self._known[id(value)] = 1 + sum(self.size(each, depth + 1) for each in inside)
        if self._known[id(value)] > VALUES:
            raise self._error(f"more than {VALUES:,} values, written out", "aliases written out by hand, if they are meant")
        return self._known[id(value)]

    def _require_keys(self, value: Mapping[Any, Any]) -> None:
        for key in value:
            if not isinstance(key, self._keys):
                raise self._error(f"the key {shown(key)}", "names")
            self._require_scalar(key)

    def _require_scalar(self, value: Any) -> None:
        if isinstance(value, str):
            if "\0" in value or value != value.encode(errors="replace").decode():
                raise self._error(shown(value), "text")
        elif isinstance(value, int):
            if abs(value) >= MOST_INT:
                raise self._error(f"an integer of {value.bit_length()} bits", "integers of up to 63 bits")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise self._error(shown(value), "finite numbers")
        elif value is not None:
            raise self._error(f"{type(value).__name__} {shown(value)}", "text (in quotes), numbers, true, false, null")

    def _error(self, seen: str, allowed: str) -> ConfigError:
        return ConfigError(f"bad value for {self._where}", seen=seen, allowed=allowed)


def shown(value: Any) -> str:
    """A value as a message shows it: not longer than a line or two."""
    try:
        return repr(value)[:SHOWN]
    except (ValueError, RecursionError):  # integers of thousands of digits, lists that hold themselves
        return f"a {type(value).__name__}"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: If the file can't be read or holds no mapping.
    """
    values = parse(read_text(path, MOST_TEXT), where=str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a configuration", seen=type(values).__name__, allowed="lines of `field: value`")
    return values


def parse(text: str, *, where: str) -> Any:
    """YAML as plain values; no tag makes anything else of them.

    Raises:
        ConfigError: If it is no YAML, a key stands twice, or `require_plain` refuses it.
    """
    try:
        value = _constructed(text)
    except RecursionError:
        raise ConfigError(f"not YAML: {where}", seen="lists or mappings nested without end") from None
    except Exception as error:  # YAMLError, and what `!!int x`, a 13th month or a number of 5,000 digits make of it
        seen = f"{type(error).__name__}: {error}".replace("\n", " ")[: 2 * SHOWN]
        raise ConfigError(f"not YAML: {where}", seen=seen) from None
    require_plain(value, where, (str, int, float, type(None)))
    return value


def _constructed(text: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _require_single_keys(node, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _require_single_keys(node: Any, seen: set[int]) -> None:
    """Refuse merges (`<<`), which can mean billions of keys, and keys that stand twice, of which one would be lost."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    pairs = node.value if isinstance(node, yaml.MappingNode) else [(inside, inside) for inside in node.value]
    names: set[str] = set()
    for key, value in pairs:
        _require_single_keys(key, seen)
        _require_single_keys(value, seen)
        if isinstance(node, yaml.MappingNode) and isinstance(key, yaml.ScalarNode):
            if key.tag == "tag:yaml.org,2002:merge":
                raise ValueError(f"merges (<<) are not read, line {key.start_mark.line + 1}")
            if key.value in names:
                raise ValueError(f"the key {key.value!r} stands twice, line {key.start_mark.line + 1}")
            names.add(key.value)


def read_text(path: Path, most: int) -> str:
    """The text of a file; the mark of UTF-8 that some editors write first is no part of it.

    Raises:
        ConfigError: If it can't be read, is no file (a device or a pipe may never end), no UTF-8, or too long.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a file")
        if path.stat().st_size > most:
            raise OSError(f"{path.stat().st_size:,} bytes, and {most:,} are allowed")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read the file {str(path)[:SHOWN]}", seen=error, fix="correct the path") from None


def is_file(name: str) -> bool:
    """Whether there is a file of that name; a text that can't be a name is none."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False
