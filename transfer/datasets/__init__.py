"""The data layouts: read, check, explain what is missing. One module per layout, each with
`read(root, ..., tell=stop)`, whose result has a `ref` (`transfer.record.Data`) and raises `DataError` for a wrong layout.

What is wrong with a single image or annotation goes to `tell`. A run's `stop` raises it; a check collects it, and the reader
goes on without that one.
"""

import hashlib
import importlib
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pretrain.core.errors import DataError
from transfer.tasks import TaskSettings

SHOWN = 80
"""Characters of a wrong value that a message repeats."""
LONGEST_NAME = 250
"""Bytes: file systems take 255, of which an ending needs some."""

Tell = Callable[[DataError], None]
"""What is told of something wrong in the data; where it returns, the reader goes on without that."""


def stop(problem: DataError) -> None:
    """What a run does about wrong data."""
    raise problem from None


def read(layout: str, root: Path, settings: TaskSettings, tell: Tell = stop, **chosen: Any) -> Any:
    """The data of a layout, as its module's `read` returns it.

    Args:
        layout: Name of the module.
        root: Where the data lie.
        settings: Of the task that reads them.
        tell: What is told of something wrong.
        **chosen: What image folders alone are told: which classes, under which labels.

    Raises:
        DataError: For a wrong layout; for broken annotations, unless `tell` takes them.
    """
    return importlib.import_module(f"transfer.datasets.{layout}").read(root, tell=tell, **settings.splits(), **chosen)


def content(path: Path, most: int) -> bytes:
    """The bytes of a small file.

    Raises:
        DataError: If it can't be read, or is larger than `most` bytes.
    """
    try:
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError as error:
        raise DataError(f"can't read {path}", seen=error) from None
    if len(found) > most:
        raise DataError(f"{path} is too large", seen=f"more than {most} bytes", allowed=f"at most {most}")
    return found


def shown(value: object) -> str:
    """A value from a file in a few words, however large or deep it is."""
    return reprlib.repr(value)[:SHOWN]


def is_plain_name(name: str) -> bool:
    """Whether it names something in a folder itself: nothing above it, below it or elsewhere."""
    return len(name.encode("utf-8", "replace")) <= LONGEST_NAME and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def wrong_layout(root: Path, *, layout: str, looked_for: str, first_wrong: Path, fix: str) -> DataError:
    """The one message for a wrong layout: what was looked for, what was found, the first wrong path, what to do."""
    if not root.exists():
        found = "nothing: the folder does not exist"
    elif root.is_file():
        found = "a file"
    else:
        names = sorted(child.name + "/" * child.is_dir() for child in root.iterdir())
        found = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "an empty folder"
    return DataError(f"{root} is not in the {layout} layout: {first_wrong} is missing", seen=found, allowed=looked_for, fix=fix)


def fingerprint(root: Path, *, images: Iterable[Path], annotations: Iterable[Path]) -> str:
    """Digest of what a number depends on: contents of the annotations, names and sizes of the images.

    Image contents are not read: a set of a million files would take minutes.
    """
    digest = hashlib.sha256()
    for path in sorted(annotations):
        digest.update(path.relative_to(root).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for path in sorted(images):
        digest.update(f"{path.relative_to(root).as_posix()}:{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]
