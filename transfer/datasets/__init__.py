"""The data layouts: read, check, explain what is missing. One module per layout, each with
`read(root, ...)`, whose result has a `ref` (`transfer.record.Data`) and raises `DataError` for a wrong layout.
"""

import hashlib
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pretrain.errors import DataError
from transfer.tasks import TaskSettings


def read(layout: str, root: Path, settings: TaskSettings) -> Any:
    """The data of a layout, as its module's `read` returns it.

    Raises:
        DataError: For a wrong layout or broken annotations.
    """
    return importlib.import_module(f"transfer.datasets.{layout}").read(root, **settings.splits())


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
