"""A store whose images were all listed at once, with a class for each; and how classes and images are named."""

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pretrain.core.errors import DataError
from pretrain.core.settings import text_lines
from pretrain.images.stores import UNLABELLED, Found, Members
from pretrain.images.unread import Unread

CLASS_FILES = ("classes.txt", "classes.json")
"""Files beside shards that name the classes of the labels 0, 1, …: a line each, a list, or an object from label to name."""
Label = int | str | None
"""A label as it was read; None: there is none."""
NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class Listed:
    """Images of a split, sorted by class, then by name."""

    source: Path
    """What was read."""
    inner: str
    """Folder inside the archive that all class folders are in, with a slash at its end; empty if none."""
    classes: list[str]
    """Names of the classes that have images, in the order of the labels."""
    names: Sequence[str]
    """`class/image`."""
    members: Members
    """The same images, to be read."""
    unread: Unread
    """What else was seen."""

    def images(self, wanted: Collection[str]) -> Found:
        """List the images of some classes."""
        chosen = set(wanted)
        if chosen.issuperset(self.classes):
            return Found(self.names, self.members, self.unread)
        indices = [index for index, name in enumerate(self.names) if name.split("/", 1)[0] in chosen]
        return Found([self.names[index] for index in indices], self.members.part(indices), self.unread)


def in_order(
    source: Path, classes: list[str], names: Sequence[str], members: Members, *, inner: str = "", unread: Unread | None = None
) -> Listed:
    """Sort images by class and name, whatever order they were found in.

    Args:
        source: What was read.
        classes: All classes, in the order of the labels.
        names: (N,) `class/image`, each once.
        members: (N,) the images.
        inner: As in `Listed`.
        unread: What else was seen.
    """
    rank = {cls: number for number, cls in enumerate(classes)}
    order = sorted(range(len(names)), key=lambda index: (rank[names[index].split("/", 1)[0]], names[index]))
    return Listed(source, inner, classes, [names[index] for index in order], members.part(order), unread or Unread())


def classes_of(
    labels: Sequence[Label], paths: Sequence[str], given: Sequence[str] | None, source: Path
) -> tuple[list[str], list[str]]:
    """Name the classes: in order those that occur, and that of each image (N,).

    Numbers keep their order where nothing names them; names are sorted, as folders are.

    Args:
        labels: (N,) labels. None and -1 mean that an image has none.
        paths: (N,) what the images are called.
        given: Names of the classes 0, 1, …; None: they are called by their numbers.
        source: What was read.

    Raises:
        DataError: If some images have a label and others none, or a number has no name.
    """
    without = [path for label, path in zip(labels, paths, strict=True) if label is None or label == -1]
    if len(without) == len(labels):
        return [UNLABELLED], [UNLABELLED] * len(labels)
    if without:
        raise DataError(
            f"{len(without)} of the {len(labels)} images in {source} have no label: {', '.join(without[:4])}",
            seen=f"{len(labels) - len(without)} with one",
            allowed="a label for each image, or for none of them, which is enough for self-supervised runs",
            fix="add the missing labels, or remove these images",
        )
    numbers = {label for label in labels if isinstance(label, int)}
    high = [number for number in numbers if not 0 <= number < (2**31 if given is None else len(given))]
    if high:
        allowed = "whole numbers from 0" if given is None else f"0 to {len(given) - 1}, the classes that have a name"
        raise DataError(
            f"a label in {source} is no class", seen=high[0], allowed=allowed, fix="correct the labels, or the names"
        )
    named = cleaned(given or [])
    each = [(named[label] if named else str(label)) if isinstance(label, int) else cleaned([str(label)])[0] for label in labels]
    if given is None and len(numbers) == len(set(labels)):
        return [str(number) for number in sorted(numbers)], each
    return sorted(set(each)), each


def cleaned(names: Sequence[str]) -> list[str]:
    """Make class names that can be folders: without slashes, none empty, none twice."""
    plain = [name.strip().replace("/", "_") or str(number) for number, name in enumerate(names)]
    often = Counter(plain)
    return [f"{name} ({number})" if often[name] > 1 else name for number, name in enumerate(plain)]


def image_name(cls: str, path: str) -> str:
    """Name an image as its class folder would: its path from the folder of its class on, or else all of it below the class."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(parts[parts.index(cls) :] if cls in parts[:-1] else [cls, *parts])


def parsed(text: str) -> Label:
    """Read a label: a number, or else a name in one line; None if it is neither."""
    text = text.strip()
    if NUMBER.fullmatch(text):
        return int(text)
    return text if text.isprintable() and 0 < len(text) <= 200 else None


def names_beside(folder: Path) -> list[str] | None:
    """Read the names of the classes from a file beside the shards; None without one.

    Raises:
        DataError: If it can't be read, or doesn't name all numbers from 0.
    """
    file = next((folder / name for name in CLASS_FILES if (folder / name).is_file()), None)
    if file is None:
        return None
    try:
        if file.suffix == ".txt":
            return text_lines(file)
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            content = [content[str(number)] for number in range(len(content))]
        if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
            raise ValueError("neither a list of names nor an object from numbers to names")
    except (OSError, ValueError, LookupError, RecursionError) as error:
        raise DataError(
            f"can't read the names of the classes in {file}",
            seen=error,
            allowed='a line for each class, ["ant", "bee"], or {"0": "ant", "1": "bee"}',
        ) from None
    return content
