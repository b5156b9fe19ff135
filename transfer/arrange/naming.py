"""The classes that a user names with `--classes`, and what images and classes are called in the new folder."""

import dataclasses
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pretrain.core.errors import ConfigError, DataError
from pretrain.core.plain import is_file
from transfer.arrange.items import Export
from transfer.arrange.values import lines_of

Colour = tuple[int, int, int]
LONGEST = 200
"""Bytes of a name in the new folder, before the layout's ending."""
_COLOURED = (
    re.compile(r"(?P<rgb>\d+[,;\s]+\d+[,;\s]+\d+)[,;:\s]+(?P<name>\S.*)"),
    re.compile(r"(?P<name>\S.*?)[,;:\s]+(?P<rgb>\d+[,;\s]+\d+[,;\s]+\d+)(?:[:,;\s].*)?"),
)
"""A line of a table of colours: `R G B name` or `name R G B`, with blanks, commas or colons."""


@dataclass(frozen=True)
class Named:
    """Classes in the order of their numbers."""

    names: tuple[str, ...]
    colours: Mapping[Colour, int] | None = None
    """Colour in label maps → number; None: no colours are named."""


def named(text: str) -> Named:
    """Read `--classes`: names with commas between them, or a file.

    Raises:
        DataError: If the file can't be read, or a class is named twice.
    """
    if "," not in text and is_file(text):
        return table(Path(text))
    return _unique(Named(tuple(name.strip() for name in text.split(",") if name.strip())), "--classes")


def table(path: Path) -> Named:
    """Read a file of classes: one name a line, each with its colour before or behind it, or none with one.

    Raises:
        DataError: If it can't be read, or names a class or a colour twice.
    """
    lines = [line for line in lines_of(path) if not line.startswith("#")]
    matches = [next((found for each in _COLOURED if (found := each.fullmatch(line))), None) for line in lines]
    whole = [match for match in matches if match is not None]
    if len(whole) < max(len(lines) - 1, 1):  # the first line may be a heading
        return _unique(Named(tuple(lines)), str(path))
    colours: dict[Colour, int] = {}
    for number, match in enumerate(whole):
        red, green, blue = (min(int(part[:4]), 256) for part in re.split(r"[,;\s]+", match["rgb"]))
        if max(red, green, blue) > 255 or (red, green, blue) in colours:
            wrong = "is no colour" if max(red, green, blue) > 255 else "is there twice"
            raise DataError(
                f"{path}: the colour {match['rgb']!r} {wrong}", allowed="three numbers from 0 to 255 for each class"
            )
        colours[red, green, blue] = number
    return _unique(Named(tuple(match["name"].strip() for match in whole), colours), str(path))


def _unique(found: Named, where: str) -> Named:
    if not found.names or len(set(found.names)) != len(found.names):
        raise DataError(
            f"{where} must name each class once", seen=f"{len(found.names)} names, {len(set(found.names))} different"
        )
    return found


def narrowed(export: Export, classes: tuple[str, ...]) -> Export:
    """Keep the classes asked for, in that order; what is of others is counted.

    Raises:
        ConfigError: If a class asked for is none of the export's.
    """
    unknown = [name for name in classes if name not in export.classes]
    if unknown:
        raise ConfigError.unknown("class", unknown[0], export.classes)
    kept = set(classes)
    items = []
    for item in export.items:
        if item.label is not None and item.label not in kept:
            export.dropped.add("images of other classes", item.image)
            continue
        things = tuple(thing for thing in item.things if thing.name in kept)
        for _ in range(len(item.things) - len(things)):
            export.dropped.add("objects of other classes", item.image)
        items.append(dataclasses.replace(item, things=things))
    return dataclasses.replace(export, items=tuple(items), classes=classes)


def check_names(classes: Iterable[str]) -> None:
    """Check that the classes have names that every layout can hold.

    Raises:
        DataError: If two have one name, or one has characters that can't be printed.
    """
    names = list(classes)
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        numbers = ", ".join(str(number) for number, name in enumerate(names) if name == twice)
        raise DataError(
            f"the export has several classes of the name {twice!r}",
            seen=f"the classes {numbers}, counted from 0",
            allowed="a name of its own for each class",
            fix="rename them in the export's list of classes",
        )
    for name in names:
        if not name.isprintable() or not name.strip():
            raise DataError(
                "a class has a name that can't be printed", seen=repr(name)[:80], fix="rename it in the tool it comes from"
            )


def file_names(paths: Iterable[str]) -> dict[str, str]:
    """Choose a stem for each image, all different: its own, or its folders and it where two are alike.

    Blanks and characters that can't be printed become `_`, for lists of names are split at blanks.
    """
    every = sorted(set(paths))
    stems = {path: os.path.splitext(path)[0] for path in every}
    short = {path: _safe(stem.rpartition("/")[2]) for path, stem in stems.items()}
    counts: dict[str, int] = {}
    for name in short.values():
        counts[name.casefold()] = counts.get(name.casefold(), 0) + 1
    chosen: dict[str, str] = {}
    used: set[str] = set()
    for path in every:
        name = short[path] if counts[short[path].casefold()] == 1 else _safe(stems[path].replace("/", "__"))
        if name.casefold() in used:
            name = f"{name[: LONGEST // 4]}_{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
        used.add(name.casefold())
        chosen[path] = name
    return chosen


def _safe(name: str) -> str:
    clean = "".join(char if char.isprintable() and not char.isspace() and char not in "/\\" else "_" for char in name).lstrip(
        "."
    )
    if clean and len(clean.encode()) <= LONGEST:
        return clean
    return f"{clean[: LONGEST // 8]}_{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
