"""Whether a record was made on the data that a study names: only where a record asks, for reading data takes its time."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import places
from bench.study.cells import Cell
from bench.study.records import Found
from bench.verbs import pretrain_settings
from pretrain.config import PretrainConfig
from pretrain.core.errors import BenchError, DataError
from pretrain.core.journal import Journal
from transfer import datasets
from transfer.datasets import imagefolder


@dataclass
class DataHere:
    """The data that cells name, read once."""

    _read: dict[str, Any] = field(default_factory=dict)

    def same(self, cell: Cell, found: Found) -> bool:
        """Return whether a record is of a cell's data: by the data's fingerprint; where the data isn't here, by its name."""
        here = self._fingerprint(cell)
        if here is None:
            return found.data == Path(cell.data).name
        return found.fingerprint == here

    def lengthened(self, settings: PretrainConfig, data: str) -> PretrainConfig:
        """Return the settings with the epochs that `keep_iterations` makes of them; unchanged where the data isn't here."""
        try:
            _require_there(data)
            root, images, _ = pretrain_settings.find(settings, data, _silent)
            return pretrain_settings.lengthened(settings, root, len(images.train))[0]
        except BenchError:
            return settings

    def _fingerprint(self, cell: Cell) -> str | None:
        key = part(cell)
        if key not in self._read:
            try:
                self._read[key] = self._read_now(cell)
            except BenchError:
                self._read[key] = None
        found: str | None = self._read[key]
        return found

    def _read_now(self, cell: Cell) -> str:
        _require_there(cell.data)
        if cell.kind == "pretrain":
            _, images, _ = pretrain_settings.find(cell.settings, cell.data, _silent)
            return images.ref.fingerprint
        root, _ = places.data_root(cell.data, cell.layout, Journal())
        chosen = cell.selection.arguments()
        if cell.kind == "measure":
            return imagefolder.read(root, **chosen).ref.fingerprint
        fingerprint: str = datasets.read(cell.layout, root, cell.settings, **chosen).ref.fingerprint
        return fingerprint


def part(cell: Cell, *, any_seed: bool = False) -> str:
    """Return what decides which part of which data a cell reads: two cells of one part read the same.

    Args:
        cell: The cell.
        any_seed: Whether parts count as one that differ only in the classes which their seeds draw.
    """
    return repr((cell.layout, cell.data, _choice(cell, any_seed=any_seed)))


def _choice(cell: Cell, *, any_seed: bool) -> Any:
    settings = cell.settings
    if isinstance(settings, PretrainConfig):
        drawn = settings.seed if isinstance(settings.classes, float) and not any_seed else None
        return settings.classes, settings.label_map, drawn, pretrain_settings.needs(settings)
    splits = None if settings is None or cell.kind == "measure" else settings.splits()
    return splits, cell.selection.plain()


def _require_there(data: str) -> None:
    """Refuse generated data that has not been generated yet: a look makes nothing.

    Raises:
        DataError: If it isn't there.
    """
    if places.is_generated(data) and not places.generated_root(data).is_dir():
        raise DataError("the generated data is not there yet")


def _silent(stage: str, done: int, total: int, values: dict[str, float]) -> None:
    """Show nothing."""
