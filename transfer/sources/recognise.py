"""Recognising whose file it is: the line of the table, which of its encoders is taken, and what becomes of every key."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from pretrain import backbones
from pretrain.backbones import Architecture
from pretrain.core.errors import CheckpointError
from transfer.sources import files
from transfer.sources.backbone import WRAPPERS, Branch
from transfer.sources.codebases import SOURCES, KeyLayout, Names
from transfer.sources.files import Payload
from transfer.sources.refusals import nothing_recognised

ENOUGH = 10
"""Tensors with a family's names that make a file worth calling by a source's name; the smallest backbone has 120."""
Trunk = dict[str, tuple[str, Tensor]]
"""Canonical name → the level's name and the tensor, of all that is part of a trunk."""


@dataclass(frozen=True)
class Found:
    """A backbone's tensors as the file holds them."""

    source: str
    branch: Branch
    state: dict[str, Tensor]
    """Under canonical names; nothing checked yet."""
    dropped: tuple[str, ...]
    """Every other tensor of the file, by the file's own names."""
    why: str
    own_choice: bool = True
    """Whether the project's own conversion takes this branch too."""


def recognise(payload: Payload, path: Path, *, source: str | None = None, branch: str | None = None) -> Found:
    """Find the backbone in a file.

    Args:
        payload: What the file holds.
        path: The file, for messages.
        source: A line of the table, where the user says whose file it is.
        branch: `online` or `momentum`; None: what the project's own conversion takes.

    Raises:
        CheckpointError: If no line fits, or the branch asked for is not there.
    """
    if source is not None and source not in SOURCES:
        raise CheckpointError.unknown("source", source, SOURCES)
    if branch is not None and branch not in get_args(Branch):
        raise CheckpointError.unknown("branch", branch, get_args(Branch))
    file = _File(payload)
    for name, layout in _candidates(file, source):
        places = [place for place in (layout.online, layout.momentum) if place is not None]
        if all(file.trunk(place, layout.names, SOURCES[name].families) for place in places):
            return _found(file, path, name, layout, branch, forced=source is not None)
    raise nothing_recognised(path, files.fullest(payload.content), source)


def _candidates(file: "_File", source: str | None) -> Iterator[tuple[str, KeyLayout]]:
    """Yield the table's layouts in order; of a source that was named all, those first whose marks are there."""
    if source is not None:
        layouts = sorted(SOURCES[source].layouts, key=lambda layout: layout.said or not file.marked(layout))
        yield from ((source, layout) for layout in layouts)
        return
    for name, line in SOURCES.items():
        yield from ((name, layout) for layout in line.layouts if not layout.said and file.marked(layout))


def _found(file: "_File", path: Path, name: str, layout: KeyLayout, branch: str | None, *, forced: bool) -> Found:
    if branch == "momentum" and layout.momentum is None:
        raise CheckpointError(
            f"{path} holds no momentum encoder",
            seen=f"one backbone, of {name}",
            allowed="--branch online",
            fix="leave --branch away",
        )
    if not forced:
        _require_beyond_doubt(file, path, name, layout)
    chosen: Branch = "momentum" if (branch or layout.default) == "momentum" else "online"
    place = layout.momentum if chosen == "momentum" else layout.online
    assert place is not None
    taken, level = file.trunk(place, layout.names, SOURCES[name].families), file.level(place)
    used = {key for key, _ in taken.values()}
    dropped = [level.own[key] for key in level.tensors if key not in used] + files.elsewhere(file.payload.content, level.raw)
    first = next((level.own[taken[each.first][0]] for each in backbones.every() if each.first in taken), "its blocks")
    reasons = [_why(layout, place, first, forced=forced), SOURCES[name].assumed]
    if layout.momentum is not None:
        own = "what its own conversion takes" if chosen == layout.default else "as --branch says"
        reasons.insert(0, f"{chosen} encoder, {own}")
    state = {key: tensor for key, (_, tensor) in taken.items()}
    return Found(name, chosen, state, tuple(dropped), "; ".join(filter(None, reasons)), chosen == layout.default)


def _require_beyond_doubt(file: "_File", path: Path, name: str, layout: KeyLayout) -> None:
    """Refuse a file that has the mark of those which are likely not what they would be read as."""
    line = SOURCES[name]
    if line.doubt is not None and file.has(line.doubt[0], layout.online):
        raise CheckpointError(
            f"{path} is likely not what it would be read as",
            seen=f"{line.doubt[0].removeprefix('/')}; {line.doubt[1]}",
            allowed=f"a file of {name}, {line.assumed}",
            fix=f"take torchvision:resnet50/IMAGENET1K_V1; or, where you know it is read rightly, add --source {name}",
        )


def _why(layout: KeyLayout, place: str, key: str, *, forced: bool) -> str:
    where = place.partition(":")[0] or "the top level"
    marks = "".join(f" and {mark.removeprefix('/')}" for mark in layout.marks)
    if forced:
        return f"as --source says; found {key} in {where}"
    return f"recognised by {key} in {where}{marks}" + (f", {layout.form}" if layout.form else "")


@dataclass(frozen=True)
class _Level:
    """One mapping of a file."""

    raw: Mapping[Any, Any]
    tensors: dict[str, Tensor]
    """Without the wrappers that all names share."""
    own: dict[str, str]
    """Name without wrappers → the file's."""


class _File:
    """A payload whose levels are read once each."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self._levels: dict[str, _Level] = {}

    def level(self, place: str) -> _Level:
        """Return the mapping that a place lies in; an empty one where the file has none."""
        steps = place.partition(":")[0]
        if steps not in self._levels:
            at = self.entry(steps.split("/")) if steps else self.payload.content
            self._levels[steps] = _unwrapped(at if isinstance(at, Mapping) else {})
        return self._levels[steps]

    def entry(self, steps: list[str]) -> Any:
        """Return what lies at the end of a path of keys; None where it breaks off."""
        at: Any = self.payload.content
        for step in steps:
            at = at.get(step) if isinstance(at, Mapping) else None
        return at

    def trunk(self, place: str, names: Names, families: tuple[str, ...]) -> Trunk:
        """Return what of a place is a trunk of one of the families, whole or not; nothing where none is there."""
        for architecture in {each.family: each for each in backbones.every() if each.family in families}.values():
            taken = self._parts(place, names, architecture)
            if sum(architecture.names.fullmatch(name) is not None for name in taken) >= ENOUGH:
                return taken
        return {}

    def _parts(self, place: str, names: Names, architecture: Architecture) -> Trunk:
        """Return the tensors of a place that belong to parts of the architecture's family, under canonical names."""
        prefix = place.partition(":")[2]
        taken: Trunk = {}
        for key, tensor in self.level(place).tensors.items():
            if not key.startswith(prefix):
                continue
            name = _renamed(key.removeprefix(prefix), names)
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


def _unwrapped(raw: Mapping[Any, Any]) -> _Level:
    found = files.tensors(raw)
    names = list(found)
    while names and any(all(name.startswith(f"{wrapper}.") for name in names) for wrapper in WRAPPERS):
        names = [name.partition(".")[2] for name in names]
    return _Level(raw, dict(zip(names, found.values(), strict=True)), dict(zip(names, found, strict=True)))


def _renamed(key: str, names: Names) -> str | None:
    """Return the canonical name of a key; None where the table has no word for it."""
    name = key
    for pattern, replacement in names:
        name = pattern.sub(replacement, name)
    return None if names and name == key else name
