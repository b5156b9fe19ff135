"""What cells will take, by the records of cells like them; what no record is like is unknown, and said to be."""

import json
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.study import running
from bench.study.cells import Cell
from bench.study.records import Found
from pretrain.core.counts import counted
from pretrain.core.settings import digest

Key = Callable[[Any], Hashable]


@dataclass(frozen=True)
class Estimate:
    """What a cell takes."""

    seconds: float
    """Wall seconds on its devices."""
    memory_mib: float
    """Main memory."""
    source: str
    """Which records it is from."""


@dataclass(frozen=True)
class _Like:
    """A kind of likeness: records and cells of one key are alike."""

    words: str
    of_record: Key
    of_cell: Key


def _changed(said: Mapping[str, Any]) -> str:
    """What differs from the published protocol, the seed aside."""
    return digest({name: value for name, value in json.loads(json.dumps(said)).items() if name != "seed"})


def _sized(said: Mapping[str, Any]) -> tuple[Any, Any]:
    """Side and number of the images of a step."""
    return said.get("size"), said.get("recipe.batch")


PRETRAIN = "pretrain"
"""The stage of a log that is a pre-training's steps."""
_EVALUATIONS = (
    _Like(
        "task, backbone and data",
        lambda found: (found.task, _changed(found.changed), found.data, found.arch),
        lambda cell: (cell.task, _changed(cell.says["changed"]), Path(cell.data).name, cell.values.get("arch")),
    ),
    _Like(
        "task and data",
        lambda found: (found.task.partition("@")[0], _changed(found.changed), found.data),
        lambda cell: (cell.task.partition("@")[0], _changed(cell.says["changed"]), Path(cell.data).name),
    ),
)
_PRETRAININGS = (
    _Like(
        "method, backbone and data, by epochs",
        lambda found: (found.method, found.arch, found.data, _sized(found.changed)),
        lambda cell: (cell.says["protocol"], cell.values["arch"], Path(cell.data).name, _sized(cell.says["changed"])),
    ),
    _Like(
        "backbone and data, by epochs",
        lambda found: (found.arch, found.data, _sized(found.changed)),
        lambda cell: (cell.values["arch"], Path(cell.data).name, _sized(cell.says["changed"])),
    ),
)
"""Likenesses, the closest first."""


class Costs:
    """Estimates from records."""

    def __init__(self, found: Iterable[Found]) -> None:
        every = list(found)
        made = [each for each in every if each.kind == "pretrain" and each.epochs]
        others = [each for each in every if each.kind != "pretrain"]
        self._pretrainings = [(like, _grouped(made, like.of_record)) for like in _PRETRAININGS]
        self._evaluations = [(like, _grouped(others, like.of_record)) for like in _EVALUATIONS]

    def of(self, cell: Cell) -> Estimate | None:
        """Estimate a cell by the median of the records that are most like it; None where none is."""
        for like, groups in self._pretrainings if cell.subject is None else self._evaluations:
            alike = groups.get(like.of_cell(cell))
            if alike:
                seconds = statistics.median(_seconds(each, cell) for each in alike)
                memory = max(each.memory_mib for each in alike)
                return Estimate(seconds, memory, f"{counted(len(alike), 'record')} of its {like.words}")
        return None


def _seconds(found: Found, cell: Cell) -> float:
    """Wall seconds of a cell on its devices, by a record: training grows with the epochs, what comes before it doesn't."""
    shared = found.devices / cell.resource.devices
    if cell.subject is not None or not found.epochs:
        return found.seconds * shared
    training = _training(found.folder, found.seconds, found.images * found.epochs, found.images_per_second)
    return found.seconds - training + training / found.epochs * cell.epochs * shared


@cache
def _training(folder: Path, seconds: float, images: float, images_per_second: float | None) -> float:
    """Seconds of a pre-training's steps: by its log, without one by its speed, and where nothing tells, all of them."""
    said = running.training(folder, PRETRAIN)
    if said is None and images_per_second:
        said = images / images_per_second
    return seconds if said is None else min(said, seconds)


def _grouped(found: Iterable[Found], key: Key) -> Mapping[Hashable, list[Found]]:
    groups: dict[Hashable, list[Found]] = {}
    for each in found:
        groups.setdefault(key(each), []).append(each)
    return groups
