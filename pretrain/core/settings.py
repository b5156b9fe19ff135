"""Typed, frozen settings, read from YAML and `field=value` words. An unknown key is an error with a suggestion."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pretrain.core.errors import ConfigError
from pretrain.core.plain import parse, require_plain, shown
from pretrain.core.texts import read_text

LARGEST_LIST = 2**28
"""Bytes of a list of images or classes at most."""


class Settings(BaseModel):
    """Base class of every configuration. Instances are immutable; `replace` returns a checked copy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    RUNTIME: ClassVar[frozenset[str]] = frozenset()
    """Fields that don't change the numbers. The others make a run's identity."""
    OPTIONAL: ClassVar[frozenset[str]] = frozenset()
    """Fields that are part of it only where they differ from their default: what runs were before these came stays so."""

    @classmethod
    def read(cls, values: Mapping[str, Any], *, where: str = "the configuration") -> Self:
        """Check plain values and build an instance from them.

        Args:
            values: Field name → value.
            where: Source of the values, for messages.

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
        """Copy this configuration with some fields changed, and check everything again.

        Raises:
            ConfigError: As `read` does.
        """
        return type(self).read({**self.model_dump(), **values}, where=where)

    def differences(self, other: "Settings") -> dict[str, Any]:
        """Collect the fields that change the numbers and differ from those of `other`, as plain JSON values."""
        mine, theirs = self.numbers(), other.numbers()
        return {key: value for key, value in mine.items() if theirs.get(key) != value}

    def numbers(self) -> dict[str, Any]:
        """Collect the fields that change the numbers, as plain JSON values; nested settings contribute theirs."""
        inner = {name: set(value.RUNTIME) for name, value in self if isinstance(value, Settings)}
        fields = type(self).model_fields
        usual = [name for name in self.OPTIONAL if getattr(self, name) == fields[name].default]
        return self.model_dump(mode="json", exclude={**inner, **dict.fromkeys([*self.RUNTIME, *usual], True)})


class ComputeSettings(Settings):
    """Settings of whatever computes with a network."""

    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"tf32"})

    tf32: bool = True
    """Whether GPUs round the inputs of fp32 convolutions to TF32's 10-bit mantissa, as torch has it; matrix products are fp32
    in any case. Without it all is fp32, and slower. On CPUs it changes nothing."""


class TextFile(Settings):
    """A file that a field names by its path. Its content is part of the run's identity, its path isn't."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    """Path of the file."""
    digest: str
    """Digest of its lines when the configuration was made."""

    @model_validator(mode="before")
    @classmethod
    def _of_path(cls, value: Any) -> Any:
        return {"path": value, "digest": digest(text_lines(Path(value)))} if isinstance(value, str) else value

    def lines(self) -> list[str]:
        """Read its lines, as `text_lines` does."""
        return text_lines(Path(self.path))


def _as_config_error(error: ValidationError, where: str) -> ConfigError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    wrong = f"bad value for {field!r} in {where}" if field else f"contradiction in {where}"
    seen = shown(first["input"]) if field else None
    fix = "give it such a value, or leave it away" if field else None
    return ConfigError(wrong, seen=seen, allowed=message, fix=fix)


def digest(plain: Any) -> str:
    """Hash a JSON value, with sorted keys: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def assignments(words: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Parse `["lr=0.1", "steps=[1,2]"]`, given with an option, into a mapping; values are YAML.

    Raises:
        ConfigError: If a word has no `=`, or a value isn't YAML.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            example = "method=simclr" if option == "--provenance" else "lr=0.1"
            fix = f"write for instance {option} {example}"
            raise ConfigError("not an assignment", seen=f"{option} {word}", allowed="field=value", fix=fix)
        values[key.strip().replace("-", "_")] = parse(text, where=f"{option} {word}")
    return values


def text_lines(path: Path) -> list[str]:
    """Read the lines of a text file, stripped, without blank ones and comments (`#` first).

    Raises:
        ConfigError: If it can't be read.
    """
    lines = (line.strip() for line in read_text(path, LARGEST_LIST, ConfigError).splitlines())
    return [line for line in lines if line and not line.startswith("#")]
