"""Everything that is wrong with a study file, collected, so that it is said at once."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from pretrain.core.errors import BenchError, ConfigError
from pretrain.core.plain import shown
from pretrain.core.settings import Settings

S = TypeVar("S", bound=Settings)


@dataclass
class Problems:
    """What is wrong with a file so far."""

    path: Path
    found: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    """What the file itself says of how they are mended."""

    def note(self, problem: str) -> None:
        """Note a problem, once."""
        if problem not in self.found:
            self.found.append(problem)

    @contextlib.contextmanager
    def noting(self, where: str, said: set[str] | None = None) -> Iterator[None]:
        """Note a user's mistake within the block, and where it was made, and go on after it.

        Args:
            where: Where.
            said: Messages that are not noted again, wherever they come from; this one is added.
        """
        known = set() if said is None else said
        try:
            yield
        except BenchError as error:
            if str(error) not in known:
                self.note(f"{where}: {error}")
            known.add(str(error))

    def read(self, kind: type[S], values: Any, where: str) -> S:
        """Read settings of a kind; where values are wrong, note each and return empty ones, which nobody may use."""
        if not isinstance(values, dict):
            self.note(f"{where}: {shown(values)} is no mapping of fields")
            return cast(S, kind.model_construct())
        names = {field.alias or name for name, field in kind.model_fields.items()}
        for key in values.keys() - names:
            self.note(f"{where}: {ConfigError.unknown('key', str(key), names)}")
        try:
            return kind.model_validate({key: value for key, value in values.items() if key in names})
        except ValidationError as error:
            for each in error.errors():
                place = ".".join(str(part) for part in each["loc"])
                self.note(f"{where}: {place + ': ' if place else ''}{each['msg'].removeprefix('Value error, ')}")
            return cast(S, kind.model_construct())

    def require_none(self) -> None:
        """Raise everything that was noted.

        Raises:
            ConfigError: If anything was.
        """
        if self.found:
            count = f"{len(self.found)} problems" if len(self.found) > 1 else "a problem"
            lines = [f"{count} in {self.path}", *(f"- {problem}" for problem in self.found), *self.hints]
            raise ConfigError("\n".join(lines))
