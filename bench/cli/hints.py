"""What to say of an option that a command lacks: a field of its settings that has none is given by `--set`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import typer
from typer.core import TyperCommand


def _pretraining() -> Iterable[str]:
    from pretrain import fields, methods, optimizers
    from pretrain.config import PretrainConfig

    for name in methods.METHODS:
        yield from (whole.rpartition(".")[2] for whole in fields.leaves(PretrainConfig.published(name)))
    for optimizer in optimizers.OPTIMIZERS.values():
        yield from optimizer.model_fields


def _tasks() -> Iterable[str]:
    from transfer import tasks

    for name in tasks.TASKS:
        yield from type(tasks.get(name).settings).model_fields


def _measure() -> Iterable[str]:
    from transfer.representation.settings import MeasureSettings

    return MeasureSettings.model_fields


SETTINGS: Mapping[str, Callable[[], Iterable[str]]] = {
    "pretrain": _pretraining,
    "views": _pretraining,
    "transfer": _tasks,
    "measure": _measure,
}
"""Command → the fields that its `--set` takes, imported only where an option is unknown."""
USAGE_ERROR = cast(type[Exception], typer.BadParameter.__base__)
"""What a wrong option raises; typer has it from click, or brings its own."""


class Command(TyperCommand):
    """A command that knows which unknown options are fields of its settings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command.

        Raises:
            Exception: typer's own, for words that it can't read.
        """
        try:
            return super().parse_args(ctx, args)
        except USAGE_ERROR as error:
            unknown = type(error).__name__ == "NoSuchOption"
            field = _meant(str(getattr(error, "option_name", "")), self.name or "") if unknown else None
            if field is not None:
                said = str(error.message).rstrip(".")  # type: ignore[attr-defined]
                error.message = f"{said}. It is a setting: write --set {field}=VALUE."  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise


def _meant(option: str, command: str) -> str | None:
    """The field of a command's settings that has an option's name, or what other codebases call it."""
    from pretrain.core.errors import elsewhere

    if command not in SETTINGS:
        return None
    name, known = option.lstrip("-").replace("-", "_"), frozenset(SETTINGS[command]())
    return name if name in known else elsewhere(name, known)
