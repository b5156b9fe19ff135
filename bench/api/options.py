"""Types of what the Python interface takes, and what the verbs and the command line make of it."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from bench.command import plain, written
from bench.options import Place, Reading, Setup

if TYPE_CHECKING:  # it imports pydantic
    from bench.selection import Selection

Name = str | os.PathLike[str]
"""A path, or a name that stands for one."""


class Pretraining(TypedDict, total=False):
    """Fields of `pretrain.config.PretrainConfig` that have an option of their own; all others are `settings`."""

    method: str
    aug: str
    supervision: Literal["self", "semi", "full"]
    label_fraction: float
    label_mode: str
    label_list: Name
    classes: str | float | Name
    label_map: Name
    cache: str
    on_bad_image: Literal["stop", "skip"]
    arch: str
    seed: int
    epochs: int
    keep_every: int
    monitor_every: int


class Adjustments(TypedDict, total=False):
    """Changes of a task that every task which has them makes in its own way: see `bench.verbs.adjustments`."""

    iters: int
    batch: int
    size: int
    rois: int
    precise_bn: int
    lr_search: bool
    on_bad_image: Literal["stop", "skip"]


def place(data: Name | None, out: Name | None, resume: bool, device: str | None, devices: int, log: str | None) -> Place:
    """Group what says where a run is done."""
    return Place(text(data), None if out is None else Path(out), resume, device, devices, log)


def folders(given: Sequence[Name]) -> list[Path]:
    """List the folders that were named, or `runs`."""
    return [*map(Path, given)] or [Path("runs")]


def text(name: Name | None) -> str | None:
    """Return a path as a text."""
    return None if name is None else os.fspath(name)


def chosen(classes: str | float | Name | None, label_map: Name | None) -> dict[str, Any]:
    """Return the fields of a selection that were given."""
    return {name: value for name, value in plain({"classes": classes, "label_map": label_map}).items() if value is not None}


def selection(chosen: Mapping[str, Any]) -> "Selection":
    """Read a choice of classes."""
    from bench.selection import Selection

    return Selection.read(chosen, where="the options")


def command(verb: str, what: Mapping[str, Any], groups: Sequence[Place | Reading | Setup], settings: Mapping[str, Any]) -> str:
    """Write the command that asks for the same: of groups the options that differ from their defaults."""
    changed = {name: value for group in groups for name, value in vars(group).items() if value != getattr(type(group)(), name)}
    return written(verb, {**what, **changed}, settings)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Say what the machine refuses, such as a full disk, in the words of the command line."""
    from pretrain.core import machine_errors

    with machine_errors.translating_os_errors("write here", Path()):
        yield


def silent(stage: str, done: int, total: int, values: dict[str, float]) -> None:
    """Show nothing."""
