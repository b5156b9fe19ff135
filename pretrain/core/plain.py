"""Plain values from untrusted YAML files and command lines: bounded in size, finite, and of no other type."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pretrain.core.errors import ConfigError
from pretrain.core.texts import read_text

DEPTH = 20
"""Most levels of nested lists and mappings."""
VALUES = 200_000
"""Most values in total, counted again at every alias: a few lines of aliases can expand to billions."""
LARGEST_YAML = 2**21
"""Bytes of a YAML file at most; a label map of ImageNet's 21,841 classes has a quarter of that."""
TOO_LARGE = 2**63
"""Integers from here on fit no type of torch or NumPy."""
SHOWN = 200
"""Characters of a wrong value that a message shows at most."""


def require_plain(value: Any, where: str, keys: tuple[type, ...] = (str,)) -> None:
    """Refuse anything but a tree of texts, finite numbers, booleans, nulls, lists and mappings.

    Args:
        value: The value.
        where: Its source, for the message.
        keys: Types that a mapping's keys may have.

    Raises:
        ConfigError: For the first wrong value.
    """
    _Check(where, keys).size(value, 0)


class _Check:
    """Checks values recursively. A container behind several aliases is checked once, and counted each time."""

    def __init__(self, where: str, keys: tuple[type, ...]) -> None:
        self._where, self._keys = where, keys
        self._known: dict[int, int] = {}

    def size(self, value: Any, depth: int) -> int:
        """Check a value and count it with everything inside it."""
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
            raise self._error(f"more than {VALUES:,} values, written out", "aliases written out by hand, if intended")
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
            if abs(value) >= TOO_LARGE:
                raise self._error(f"an integer of {value.bit_length()} bits", "integers of up to 63 bits")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise self._error(shown(value), "finite numbers")
        elif value is not None:
            raise self._error(f"{type(value).__name__} {shown(value)}", "text (in quotes), numbers, true, false, null")

    def _error(self, seen: str, allowed: str) -> ConfigError:
        fix = "give it such a value, or leave it away"
        return ConfigError(f"bad value for {self._where}", seen=seen, allowed=allowed, fix=fix)


def shown(value: Any) -> str:
    """Format a value for a message, `SHOWN` characters at most."""
    try:
        return repr(value)[:SHOWN]
    except (ValueError, RecursionError):  # integers of thousands of digits, lists that hold themselves
        return f"a {type(value).__name__}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file.

    Raises:
        ConfigError: If the file can't be read or holds no mapping.
    """
    values = parse(read_text(path, LARGEST_YAML, ConfigError), where=str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a configuration", seen=type(values).__name__, allowed="lines of `field: value`")
    return values


def parse(text: str, *, where: str) -> Any:
    """Parse YAML into plain values, whatever its tags.

    Args:
        text: The YAML.
        where: Its source, for messages.

    Raises:
        ConfigError: If it isn't YAML, a key occurs twice, or `require_plain` refuses it.
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
    """Refuse merges (`<<`), which can expand to billions of keys, and duplicate keys, of which one would be lost."""
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
                raise ValueError(f"the key {key.value!r} occurs twice, line {key.start_mark.line + 1}")
            names.add(key.value)


def is_file(name: str) -> bool:
    """Whether a file of that name exists; False too for a text that can't be a file name."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False
