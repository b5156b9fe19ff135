"""Arranging: recognise the format, read it, divide it, write the layout, all or nothing."""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Progress
from pretrain.core.layout import contents
from transfer.arrange import FORMATS, inside, layout_itself, module, placing, recognised_at, writers
from transfer.arrange.folder import TRAIN, VAL
from transfer.arrange.items import Export, Links
from transfer.arrange.naming import Named, check_names, named, narrowed
from transfer.arrange.splitting import divided

ANNOTATE = "export annotations of each image, such as COCO's, together with it"
"""What to do where nothing of an export can be used."""


@dataclass(frozen=True)
class Wanted:
    """What a user asks for."""

    layout: str | None = None
    """`--as`; None: the usual one for what the export holds."""
    classes: str | None = None
    """`--classes`: names with commas between them, or a file."""
    val: str | None = None
    """`--val`: share, or file."""
    seed: int = 0
    copy: bool = False
    """Whether files are copied; else they are linked to."""


@dataclass(frozen=True)
class Arranged:
    """What was written."""

    format: str
    """Name of the format that was read."""
    layout: str
    counts: Mapping[str, tuple[int, int]]
    """What is counted → in train, in val; empty where files were only linked."""
    masks: bool
    """Whether every object has a mask."""
    notes: tuple[str, ...]
    """What was left out, and other remarks."""


def arrange(source: Path, target: Path, wanted: Wanted, progress: Progress) -> Arranged:
    """Write an export as a layout into a folder that is new or empty; the export is never changed.

    Args:
        source: Folder of the export.
        target: The new folder. It appears whole or not at all.
        wanted: How.
        progress: Called with every image that is placed.

    Raises:
        DataError: If the export is of no known format, or can't be read; if the folder isn't empty.
        ConfigError: If what is asked for doesn't fit the export.
        StorageError: If the disk is full or can't be written to.
    """
    if wanted.layout not in (None, *writers.WRITERS):
        raise ConfigError.unknown("layout", str(wanted.layout), writers.WRITERS)
    root, target = _checked(source, target)
    name = recognised_at(root, wanted.layout) or recognised_at(root) or layout_itself(root)
    if name is None:
        allowed = "; ".join(each.title for each in FORMATS.values())
        raise DataError(f"{source} is no export that is known", seen=contents(root), allowed=allowed, fix="see docs/data.md")
    return arrange_as(name, root, target, wanted, progress)


def arrange_as(name: str, root: Path, target: Path, wanted: Wanted, progress: Progress) -> Arranged:
    """Write an export of a known format, as `arrange` does, without a look at the folders."""
    given = None if wanted.classes is None else named(wanted.classes)
    found = module(name).read(root, given)
    building = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    how = placing.copy if wanted.copy else placing.link
    try:
        building.mkdir(parents=True)
        if isinstance(found, Links):
            arranged = _link(found, name, wanted, building, how)
        else:
            place = placing.Place(how, len(found.items), progress)
            arranged = _write(_prepared(found, given, wanted), root, name, wanted, building, place)
        os.replace(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return arranged


def _checked(source: Path, target: Path) -> tuple[Path, Path]:
    """Return both folders' whole paths, the export's without an archive's own folder around it."""
    if not source.is_dir():
        seen = "a file" if source.exists() else "nothing"
        raise DataError(
            f"{source} is no folder", seen=seen, fix="unpack the archive first" if source.exists() else "correct the path"
        )
    root, target = source.resolve(), target.resolve()
    if target.is_relative_to(root):
        raise ConfigError("the new folder can't be inside the export", seen=target, fix="name a folder elsewhere")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        seen = contents(target) if target.is_dir() else "a file"
        raise DataError(f"{target} is in the way", seen=seen, allowed="a folder that is new or empty", fix="name another one")
    return inside(root), target


def _prepared(export: Export, given: Named | None, wanted: Wanted) -> Export:
    """Keep the classes asked for, and divide the images."""
    if not export.items:
        seen = "; ".join(export.dropped.notes()) or "no image"
        annotated = "aren't there" in seen or not export.dropped.notes()
        fix = "export the images, too" if annotated else ANNOTATE
        raise DataError("the export has no image that can be used", seen=seen, fix=fix)
    counts = Counter(item.image for item in export.items)
    if max(counts.values()) > 1:
        image, count = counts.most_common(1)[0]
        raise DataError(
            f"the image {image} is annotated {count} times", allowed="once", fix="join its annotations, or remove all but one"
        )
    if given is not None and export.holds != "maps":
        export = narrowed(export, given.names)
    if not export.classes:
        seen = "; ".join((*export.notes, *export.dropped.notes())) or f"{len(export.items)} images"
        raise DataError(
            "the export has no class", seen=seen, allowed="one class or more, with a box or an outline", fix=ANNOTATE
        )
    check_names(export.classes)
    return divided(export, wanted.val, wanted.seed)


def _write(export: Export, root: Path, name: str, wanted: Wanted, target: Path, place: placing.Place) -> Arranged:
    able = [each for each in FORMATS[name].layouts if export.holds in writers.module(each).HOLDS]
    layout = wanted.layout or able[0]
    writer = writers.module(layout)
    if layout not in able:
        raise ConfigError(
            f"{export.holds} can't be written in the layout {layout}",
            seen=FORMATS[name].title,
            allowed=f"--as {' or '.join(able)}",
        )
    notes = writer.write(export, root, target, place)
    things = [thing for item in export.items for thing in item.things]
    counts = {"images": _count(export, lambda item: 1)}
    if export.holds == "objects":
        counts["objects"] = _count(export, lambda item: len(item.things))
    counts["classes"] = (len(export.classes), len(export.classes))
    notes = (*export.notes, *notes, *export.dropped.notes())
    return Arranged(name, layout, counts, all(thing.mask is not None for thing in things), notes)


def _count(export: Export, of: Any) -> tuple[int, int]:
    train, val = (sum(of(item) for item in export.items if item.split == split) for split in (TRAIN, VAL))
    return train, val


def _link(found: Links, name: str, wanted: Wanted, target: Path, how: placing.How) -> Arranged:
    """Make the links, which is all that such an export needs."""
    asked = {"--as": wanted.layout, "--classes": wanted.classes, "--val": wanted.val}
    refused = [option for option, value in asked.items() if value not in (None, found.layout)]
    if refused:
        raise ConfigError(
            f"{FORMATS[name].title}: its files are linked as they are", seen=", ".join(refused), fix="leave that away"
        )
    for path, source in found.links.items():
        how(source, target / path)
    return Arranged(name, found.layout, {}, True, found.notes)
