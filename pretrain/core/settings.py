"""Typed, frozen settings read from YAML and `field=value` words: an unknown key is an error with a suggestion."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pretrain.core.errors import ConfigError
from pretrain.core.plain import parse, read_text, require_plain, shown

MOST_LIST = 2**28
"""Bytes of a list of images or classes."""


class Settings(BaseModel):
    """Base of every configuration. Instances are immutable; `replace` returns a checked copy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    RUNTIME: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not change the numbers; the others make a run's identity."""

    @classmethod
    def read(cls, values: Mapping[str, Any], *, where: str = "the configuration") -> Self:
        """Build from plain values.

        Raises:
            ConfigError: For an unknown key (with the nearest known one), a wrong type or a value out of range.
        """
        for key, value in values.items():
            if not isinstance(key, str) or key not in cls.model_fields:
                raise ConfigError.unknown(f"key in {where}:", shown(key).strip("'"), cls.model_fields)
            require_plain(value, f"{key} in {where}")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _as_config_error(error, where) from None

    def replace(self, values: Mapping[str, Any], *, where: str = "the options") -> Self:
        """This configuration with some fields changed and everything checked again."""
        return type(self).read({**self.model_dump(), **values}, where=where)

    def differences(self, other: "Settings") -> dict[str, Any]:
        """The fields that change the numbers and whose values differ from those of `other`, as plain JSON values."""
        mine, theirs = self.numbers(), other.numbers()
        return {key: value for key, value in mine.items() if theirs.get(key) != value}

    def numbers(self) -> dict[str, Any]:
        """The fields that change the numbers, as plain JSON values; of a field that is settings itself, those of its own."""
        inner = {name: set(value.RUNTIME) for name, value in self if isinstance(value, Settings)}
        return self.model_dump(mode="json", exclude={**inner, **dict.fromkeys(self.RUNTIME, True)})


class TextFile(Settings):
    """A file that a field names by its path. Its content is part of the run's identity; where it lies isn't."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    """Where it lies."""
    digest: str
    """Of its lines when the configuration was made."""

    @model_validator(mode="before")
    @classmethod
    def _of_path(cls, value: Any) -> Any:
        return {"path": value, "digest": digest(text_lines(Path(value)))} if isinstance(value, str) else value

    def lines(self) -> list[str]:
        """Its lines, stripped, without blank ones and comments (`#` first)."""
        return text_lines(Path(self.path))


def _as_config_error(error: ValidationError, where: str) -> ConfigError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    wrong = f"bad value for {field!r} in {where}" if field else f"contradiction in {where}"
    seen = shown(first["input"]) if field else None
    return ConfigError(wrong, seen=seen, allowed=message)


def digest(plain: Any) -> str:
    """First 12 hex digits of the SHA-256 of a JSON value with sorted keys."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def assignments(words: Iterable[str]) -> dict[str, Any]:
    """`["lr=0.1", "steps=[1,2]"]` as a mapping; values are read as YAML.

    Raises:
        ConfigError: If a word has no `=`, or a value is not YAML.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ConfigError("not an assignment", seen=word, allowed="field=value", fix="write for instance --set lr=0.1")
        values[key.strip().replace("-", "_")] = parse(text, where=f"--set {word}")
    return values


def text_lines(path: Path) -> list[str]:
    """The lines of a text file, stripped, without blank ones and comments (`#` first).

    Raises:
        ConfigError: If it can't be read.
    """
    lines = (line.strip() for line in read_text(path, MOST_LIST).splitlines())
    return [line for line in lines if line and not line.startswith("#")]
