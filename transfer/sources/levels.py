"""The mappings of a file, read once each, without wrappers; and what of them is a trunk under canonical names."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from pretrain import backbones
from pretrain.backbones import Architecture
from pretrain.core.errors import CheckpointError
from transfer.sources import files
from transfer.sources.backbone import without_wrappers
from transfer.sources.codebases import KeyLayout
from transfer.sources.effective import Room, effective
from transfer.sources.files import Payload
from transfer.sources.namings import PARTS, Names, joined

ENOUGH = 10
"""Tensors with a family's names that make a file worth calling by a source's name; the smallest backbone has 120."""
Trunk = dict[str, tuple[str, Tensor]]
"""Canonical name → the level's name and the tensor, of all that is part of a trunk."""


@dataclass(frozen=True)
class Level:
    """One mapping of a file."""

    raw: Mapping[Any, Any]
    tensors: dict[str, Tensor]
    """Without wrappers."""
    own: dict[str, str]
    """Name without wrappers → the file's."""
    computed: dict[str, tuple[tuple[str, ...], str]]
    """Name of a tensor that the file keeps in parts → the file's names of these, and what it is."""

    def unused(self, used: set[str]) -> list[str]:
        """List the file's names of all tensors but those that are used."""
        left = (name for name in self.tensors if name not in used)
        return [each for name in left for each in (self.computed[name][0] if name in self.computed else (self.own[name],))]

    def remarks(self, used: set[str]) -> tuple[str, ...]:
        """Say which of the tensors that are used were computed, a line for each kind."""
        kinds = Counter(how for name, (_, how) in self.computed.items() if name in used)
        return tuple(f"{count} weights were computed of what the file keeps, {how}" for how, count in sorted(kinds.items()))


class File:
    """A payload whose levels are read once each."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self._levels: dict[str, Level] = {}
        self._room = Room()

    def level(self, place: str) -> Level:
        """Return the mapping that a place lies in; an empty one where the file has none."""
        steps = place.partition(":")[0]
        if steps not in self._levels:
            at = self.entry(steps.split("/")) if steps else self.payload.content
            self._levels[steps] = unwrapped(at if isinstance(at, Mapping) else {}, self._room)
        return self._levels[steps]

    def everywhere(self) -> Iterator[str]:
        """Yield the keys, joined by `/`, that lead to each mapping of the file that holds tensors, the file's own first."""
        todo: list[tuple[str, Mapping[Any, Any]]] = [("", self.payload.content)]
        while todo:
            steps, at = todo.pop(0)
            if steps not in self._levels:
                self._levels[steps] = unwrapped(at, self._room)
            if self._levels[steps].tensors:
                yield steps
            for key, value in at.items():
                inside = dict(enumerate(value)) if isinstance(value, list) else value
                if isinstance(inside, Mapping):
                    todo.append((f"{steps}/{key}" if steps else str(key), inside))

    def entry(self, steps: list[str]) -> Any:
        """Return what lies at the end of a path of keys; None where it breaks off."""
        at: Any = self.payload.content
        for step in steps:
            at = at.get(step) if isinstance(at, Mapping) else None
        return at

    def trunk(self, place: str, names: Names, families: tuple[str, ...]) -> Trunk:
        """Return what of a place is a trunk of one of the families, whole or not; nothing where none is there."""
        for architecture in {each.family: each for each in backbones.every() if each.family in families}.values():
            taken = self.parts(place, names, architecture)
            if sum(architecture.names.fullmatch(name) is not None for name in taken) >= ENOUGH:
                return taken
        return {}

    def parts(self, place: str, names: Names, architecture: Architecture) -> Trunk:
        """Return the tensors of a place that belong to parts of the architecture's family, under canonical names."""
        prefix = place.partition(":")[2]
        taken: Trunk = {}
        for key, tensor in self.level(place).tensors.items():
            if not key.startswith(prefix):
                continue
            name = renamed(key.removeprefix(prefix), names)
            if name is None or name.split(".")[0] not in architecture.parts:
                continue
            if name in taken:
                raise CheckpointError("two tensors of one name", seen=f"{taken[name][0]} and {key}", allowed=f"one {name}")
            taken[name] = (key, tensor)
        return taken

    def marked(self, layout: KeyLayout) -> bool:
        """Tell whether the layout's marks and format are there."""
        if layout.form not in (None, self.payload.form):
            return False
        return all(self.has(mark, layout.online) for mark in layout.marks)

    def has(self, mark: str, place: str) -> bool:
        """Tell whether a mark is there; `place` gives the level of a pattern of keys."""
        if mark.startswith("/"):
            steps, equals, value = mark[1:].partition("=")
            at = self.entry(steps.split("/"))
            return (isinstance(at, str) and at == value) if equals else at is not None
        return any(fnmatchcase(key, mark) for key in self.level(place).tensors)


def unwrapped(raw: Mapping[Any, Any], room: Room) -> Level:
    """Read one mapping of a file, without wrappers wherever they stand; a name that would then stand twice keeps its own.

    Queries, keys and values that lie apart are joined, and count as one tensor; so do the parts of a weight
    that is computed, where the file has room for it.
    """
    found = files.tensors(raw)
    bare = {name: without_wrappers(name) for name in found}
    times = Counter(bare.values())
    names = [bare[name] if times[bare[name]] == 1 else name for name in found]
    tensors, own = dict(zip(names, found.values(), strict=True)), dict(zip(names, found, strict=True))
    computed = {}
    for name, (whole, parts, how) in effective(tensors, room).items():
        computed[name] = tuple(own[part] for part in parts), how
        own[name] = " and ".join(computed[name][0])
        for part in parts:
            tensors.pop(part, None)
        tensors[name] = whole
    for name, apart in joined(tensors).items():
        own[name] = own[apart[0]].replace(f".{PARTS[0]}.", f".{{{','.join(PARTS)}}}.")
        tensors[name] = torch.cat([tensors.pop(part) for part in apart])
    return Level(raw, tensors, own, computed)


def renamed(key: str, names: Names) -> str | None:
    """Return the canonical name of a key; None where the table has no word for it."""
    name, known = key, not names
    for pattern, replacement in names:
        name, times = pattern.subn(replacement, name)
        known |= times > 0
    return name if known else None
