"""The data layouts: read, check, explain what is missing. Adding a layout is one module and one line of `LAYOUTS`.

Each module has `read(root, ..., tell=stop)`, whose result has a `ref` (`transfer.record.Data`); it raises `DataError` for a
wrong layout. What is wrong with a single image or annotation goes to `tell`. A run's `stop` raises it; a check collects it,
and the reader continues without that one.
"""

import hashlib
import importlib
import reprlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pretrain.core import access
from pretrain.core.errors import DataError


class DataLayout(NamedTuple):
    """One line of the table of layouts. Its name is that of the module in this package."""

    folder: str
    """Default folder below BENCH_DATA and in the generated data."""
    generated: bool = False
    """Whether the generated data (`transfer.shapes`) has this layout."""
    maker: str | None = None
    """Module in this package whose `make` makes missing label maps (`bench data check --make`); None: nothing to make."""


LAYOUTS: dict[str, DataLayout] = {
    "imagefolder": DataLayout("imagenet", generated=True),
    "voc": DataLayout("voc", generated=True),
    "coco": DataLayout("coco", generated=True),
    "cityscapes": DataLayout("cityscapes", generated=True, maker="trainids"),
}
"""Name → layout."""
SHOWN = 80
"""Characters of a wrong value that a message repeats."""
LONGEST_NAME = 250
"""Bytes of a file's name: file systems take 255, of which an ending needs some."""

Tell = Callable[[DataError], None]
"""Called with each problem in the data; where it returns, the reader continues without that image or annotation."""


class NamesSplits(Protocol):
    """A task's settings, as far as a reader is concerned."""

    def splits(self) -> Mapping[str, Any]:
        """Return the arguments of the layout's `read` beside the root."""


def stop(problem: DataError) -> None:
    """Raise the problem: what a run does about wrong data."""
    raise problem from None


def make(layout: str, root: Path, tell: Tell, progress: Any) -> int:
    """Make the label maps that are missing; returns how many were made.

    Raises:
        DataError: If they can't be made from what is there.
    """
    maker = importlib.import_module(f"{__name__}.{LAYOUTS[layout].maker}")
    made: int = maker.make(root, tell, progress)
    return made


def read(layout: str, root: Path, settings: NamesSplits, tell: Tell = stop, **chosen: Any) -> Any:
    """Read the data of a layout; returns what its module's `read` returns.

    Args:
        layout: Name of the layout.
        root: Folder of the data.
        settings: Settings of the task that reads them.
        tell: Called with each problem.
        **chosen: What image folders alone take: which classes, under which labels.

    Raises:
        DataError: For a wrong layout; for broken annotations, unless `tell` takes them.
    """
    return importlib.import_module(f"{__name__}.{layout}").read(root, tell=tell, **settings.splits(), **chosen)


def shown(value: object) -> str:
    """Show a value from a file in a few words, however large or deep it is."""
    return reprlib.repr(value)[:SHOWN]


def is_plain_name(name: str) -> bool:
    """Tell whether a name is of something in a folder itself: nothing above it, below it or elsewhere."""
    return len(name.encode("utf-8", "replace")) <= LONGEST_NAME and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def fingerprint(root: Path, *, images: Iterable[Path], annotations: Iterable[Path]) -> str:
    """Digest what a number depends on: contents of the annotations, names and sizes of the images.

    Image contents are not read: a set of a million files would take minutes.

    Raises:
        DataError: If a file can't be looked at; names it.
    """
    digest = hashlib.sha256()
    for path in sorted(annotations):
        digest.update(path.relative_to(root).as_posix().encode())
        with access.reading(path), path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for path in sorted(images):
        digest.update(f"{path.relative_to(root).as_posix()}:{access.size(path)}\n".encode())
    return digest.hexdigest()[:16]
