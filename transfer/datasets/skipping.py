"""Do without training images that can't be decoded: found before a run begins, left out, counted and listed.

Validation images are never left out: a number is of all of them, or there is none.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pretrain.core import distributed
from pretrain.core.atomic import replacing
from pretrain.core.errors import DataError, GoneError, ImageError
from pretrain.core.journal import Journal
from pretrain.core.texts import escaped
from pretrain.images.skipping import SKIPPED, shown
from transfer.datasets import stop
from transfer.datasets.decoding import Listed, decoded, listed
from transfer.datasets.imagefolder import ClassificationData
from transfer.datasets.objects import DetectionData
from transfer.datasets.segmentation import SegmentationData, spread

C = TypeVar("C", ClassificationData, DetectionData, SegmentationData)


class Unread:
    """The training images that a reader couldn't read, and left out."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def tell(self, problem: DataError) -> None:
        """Note a training image; raise every other problem."""
        if isinstance(problem, ImageError) and problem.split == "train":
            self.names.append(problem.name)
        else:
            stop(problem)


def without_unreadable(
    data: C, folder: Path, journal: Journal, *, unread: Sequence[str] = (), evaluated: int | None = None
) -> tuple[C, tuple[str, ...]]:
    """Decode all images, and leave out the training images that can't be. Several processes share the work.

    Args:
        data: What the layout's reader returned.
        folder: The run's folder, where the names of those left out are listed in `skipped.txt`.
        journal: Logs the progress.
        unread: Names of training images that the reader has left out already.
        evaluated: Validation images that are evaluated, evenly spread; None: all.

    Returns:
        The data without them, and a note if there are any.

    Raises:
        DataError: If a validation image can't be decoded, no training image can, or the data is gone.
    """
    found: tuple[C, list[str]] = readable(data, journal, evaluated=evaluated)
    kept, names = found[0], sorted([*unread, *found[1]])
    if distributed.rank() == 0:
        (folder / SKIPPED).unlink(missing_ok=True)  # an earlier start's, which may have been mended since
    if not names:
        return kept, ()
    if distributed.rank() == 0:
        with replacing(folder / SKIPPED) as file:
            file.write("".join(f"{escaped(name)}\n" for name in names).encode())
    total = len(data.train) + len(unread)
    note = f"{len(names)} of {total:,} training images can't be decoded and were left out ({SKIPPED}): {shown(names)}"
    journal.say(note)
    return kept, (note,)


def readable(data: C, journal: Journal, *, evaluated: int | None = None) -> tuple[C, list[str]]:
    """Decode all images; returns the data without the training images that can't be, and their names.

    Raises:
        DataError: As `without_unreadable` does.
    """
    images: list[Listed] = listed(_evaluated(data, evaluated))
    problems: dict[int, DataError] = _problems(images, journal)
    for index, problem in problems.items():
        if images[index].split == "val":
            raise problem
    if len(problems) == len(data.train):
        fix = "`bench data check` lists them"
        raise DataError("no training image can be decoded", seen=f"{len(problems)} images", fix=fix)
    return _without(data, set(problems)) if problems else data, [images[index].name for index in problems]


def _problems(images: Sequence[Listed], journal: Journal) -> dict[int, DataError]:
    """Decode the images, each process its part; returns every process's problems, by the images' indices, in their order."""

    def progress(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        journal.step(stage, done, total)

    indices = distributed.dealt(range(len(images)))
    found = decoded([images[index] for index in indices], _require_there, progress)
    mine = {index: str(seen.problem) for index, seen in zip(indices, found, strict=True) if seen.problem is not None}
    merged = {index: text for part in distributed.everywhere(mine) for index, text in part.items()}
    return {index: DataError(merged[index]) for index in sorted(merged)}


def _require_there(problem: DataError) -> None:
    if isinstance(problem, GoneError):
        raise problem


def _evaluated(data: C, most: int | None) -> C:
    return dataclasses.replace(data, val=spread(data.val, most)) if isinstance(data, SegmentationData) else data


def _without(data: C, bad: set[int]) -> C:
    """Leave out training images, by their indices; they come first in `listed`."""
    kept = [index for index in range(len(data.train)) if index not in bad]
    if isinstance(data, ClassificationData):
        return dataclasses.replace(data, train=data.train.part(kept))
    return dataclasses.replace(data, train=tuple(data.train[index] for index in kept))
