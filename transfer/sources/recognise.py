"""Recognising whose file it is: the line of the table, which of its encoders is taken, and what becomes of every key."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pretrain import backbones
from pretrain.core.errors import CheckpointError
from pretrain.provenance import Supervision
from transfer.sources import files
from transfer.sources.backbone import Branch
from transfer.sources.codebases import SOURCES, KeyLayout
from transfer.sources.files import Payload
from transfer.sources.found import Found
from transfer.sources.levels import File
from transfer.sources.ported import Ported, ported
from transfer.sources.refusals import nothing_recognised, require_undilated
from transfer.sources.search import PLAIN, search


def recognise(
    payload: Payload, path: Path, *, source: str | None = None, branch: str | None = None, prefix: str | None = None
) -> Found:
    """Find the backbone in a file.

    Args:
        payload: What the file holds.
        path: The file, for messages.
        source: A line of the table, where the user says whose file it is.
        branch: `online` or `momentum`; None: what the project's own conversion takes.
        prefix: Where the backbone lies, where the user says so; else the table decides, and where no line of it fits, the one
            whole backbone that is found anywhere in the file.

    Raises:
        CheckpointError: If there is no whole backbone or several, the branch asked for is not there, or its layers are dilated.
    """
    if source is not None and source not in SOURCES:
        raise CheckpointError.unknown("source", source, SOURCES)
    if branch is not None and branch not in get_args(Branch):
        raise CheckpointError.unknown("branch", branch, get_args(Branch))
    if source is not None and prefix is not None:
        seen = f"--source {source} --prefix {prefix}"
        raise CheckpointError("a source says where its backbones lie", seen=seen, fix="leave one of the two away")
    other = ported(payload.content, path)
    file = File(payload if other is None else replace(payload, content=other.content, words=other.words))
    found = _declared(file, path, source, branch) if prefix is None else None
    if found is None and source is not None:
        raise nothing_recognised(path, file.payload, source)
    found = found or search(file, path, prefix=prefix, branch=branch)
    if source is None and prefix is None:
        require_undilated(path, found)
    return found if other is None else _as_ported(found, other)


def _as_ported(found: Found, other: Ported) -> Found:
    """Say whose names and axes they were, and call what is dropped as the file does.

    With torchvision's names it is still no file of torchvision's, of which the training would be known.
    """
    if found.source == "torchvision":
        found = replace(found, source=PLAIN, method="unknown", supervision="unknown")
    dropped = (*(other.own.get(name, name) for name in found.dropped), *other.left)
    remark = f"the checkpoint has {other.words}; read as torch's network, whose padding no tensor shows"
    return replace(found, dropped=dropped, why=f"{found.why}; {other.words}", remarks=(remark, *found.remarks))


def _declared(file: File, path: Path, source: str | None, branch: str | None) -> Found | None:
    """Take the backbone that the first line of the table which fits declares; None where none fits."""
    for name, layout in _candidates(file, source):
        places = [place for place in (layout.online, layout.momentum) if place is not None]
        if all(file.trunk(place, layout.names, SOURCES[name].families) for place in places):
            return _found(file, path, name, layout, branch, forced=source is not None)
    return None


def _candidates(file: File, source: str | None) -> Iterator[tuple[str, KeyLayout]]:
    """Yield the table's layouts in order; of a source that was named all, those first whose marks are there."""
    if source is not None:
        layouts = sorted(SOURCES[source].layouts, key=lambda layout: layout.said or not file.marked(layout))
        yield from ((source, layout) for layout in layouts)
        return
    for name, line in SOURCES.items():
        yield from ((name, layout) for layout in line.layouts if not layout.said and file.marked(layout))


def _found(file: File, path: Path, name: str, layout: KeyLayout, branch: str | None, *, forced: bool) -> Found:
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
    dropped = level.unused(used) + files.elsewhere(file.payload.content, level.raw)
    first = next((level.own[taken[each.first][0]] for each in backbones.every() if each.first in taken), "its blocks")
    reasons = [_why(layout, place, first, forced=forced)]
    if layout.momentum is not None:
        own = "what its own conversion takes" if chosen == layout.default else "as --branch says"
        reasons.insert(0, f"{chosen} encoder, {own}")
    state = {key: tensor for key, (_, tensor) in taken.items()}
    why, own_choice = "; ".join(filter(None, reasons)), chosen == layout.default
    whose = _whose(file, name, layout, forced=forced)
    return Found(name, chosen, state, tuple(dropped), why, own_choice, *whose, remarks=level.remarks(used))


LAYOUTS = {
    "mocov1": "MoCo's",
    "mocov2": "MoCo's",
    "mocov3": "MoCo v3's",
    "vicreg": "VICReg's",
    "dino": "DINO's",
    "deit": "DeiT's",
}
"""What the layouts are called of methods that relatives share one with."""


def _whose(file: File, name: str, layout: KeyLayout, *, forced: bool) -> tuple[str, Supervision]:
    """Return the method and its supervision, where they can't be a relative's."""
    line = SOURCES[name]
    if line.method == "unknown":
        return line.method, "unknown"
    told = line.telling is not None and all(file.has(mark, layout.online) for mark in line.telling)
    return (line.method, line.supervision) if forced or told else (f"unknown ({LAYOUTS[name]} layout)", "unknown")


def _require_beyond_doubt(file: File, path: Path, name: str, layout: KeyLayout) -> None:
    """Refuse a file that has the mark of those which are likely not what they would be read as."""
    line = SOURCES[name]
    if line.doubt is not None and file.has(line.doubt[0], layout.online):
        raise CheckpointError(
            f"{path} is likely not what it would be read as",
            seen=f"{line.doubt[0].removeprefix('/')}; {line.doubt[1]}",
            allowed=f"a file of {name} for RGB images with strides in the 3×3 convolutions",
            fix=f"--source caffe reads MSRA's; where you know that it is none, --source {name}",
        )


def _why(layout: KeyLayout, place: str, key: str, *, forced: bool) -> str:
    where = place.partition(":")[0] or "the top level"
    marks = "".join(f" and {mark.removeprefix('/')}" for mark in layout.marks)
    if forced:
        return f"as --source says; found {key} in {where}"
    return f"recognised by {key} in {where}{marks}" + (f", {layout.form}" if layout.form else "")
