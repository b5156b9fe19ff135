"""Commands whose parameters are groups of options: typer sees one parameter for each option of a group."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from bench.cli.fields import FieldOptions


class Only:
    """Marks the options that a command takes of a group, `Annotated[Place, Only("data")]`; the others keep their default."""

    def __init__(self, *names: str) -> None:
        self.names = names


@dataclass(frozen=True)
class Group:
    """A dataclass whose fields are options."""

    made: type
    names: tuple[str, ...]
    """Those of its fields that the command takes."""

    def parameters(self) -> Iterator[inspect.Parameter]:
        """One parameter for each option, in typer's form, under the first line of the dataclass's docstring."""
        hints = get_type_hints(self.made, include_extras=True)
        title = (inspect.getdoc(self.made) or "").splitlines()[0].rstrip(".")
        for field in fields(self.made):
            if field.name in self.names:
                kind, option = get_args(hints[field.name])
                option.rich_help_panel = title
                default = inspect.Parameter.empty if field.default is MISSING else field.default
                annotation: Any = Annotated[kind, option]
                yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    def build(self, given: Mapping[str, Any]) -> Any:
        """Make the dataclass from the options."""
        return self.made(**{name: given[name] for name in self.names})


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that each group among its parameters is one parameter for each of the group's options."""
    parameters = inspect.signature(command).parameters
    groups = {name: group for name, each in parameters.items() if (group := _group(each.annotation)) is not None}
    options = [
        option
        for name, each in parameters.items()
        for option in (groups[name].parameters() if name in groups else [each.replace(kind=inspect.Parameter.KEYWORD_ONLY)])
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**{name: groups[name].build(given) if name in groups else given[name] for name in parameters})

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _group(annotation: Any) -> Group | FieldOptions | None:
    """The group that a parameter stands for; None for a single option."""
    made, *marks = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    for mark in marks:
        if isinstance(mark, FieldOptions):
            return mark
    if not (isinstance(made, type) and is_dataclass(made)):
        return None
    every = Only(*(field.name for field in fields(made)))
    return Group(made, next((mark for mark in marks if isinstance(mark, Only)), every).names)
