"""Find each row's control: the same pre-training without the augmentation."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transfer.board.leaderboard import Leaderboard, Row, RowKey

CONTROL = "none"
"""The augmentation that is none."""
UNKNOWN = "unknown"
"""The augmentation of a file that doesn't say."""
SHARED = ("method", "method_version", "supervision", "label_fraction", "arch", "data", "epochs", "data_fingerprint")
"""Fields that a row and its control share; with the settings in `changed`."""


@dataclass(frozen=True)
class Control:
    """What a row with an augmentation is compared with."""

    row: int | None
    """Index of the control's row; None where no row shares every setting but the augmentation's own."""
    nearest: int | None = None
    """Without a control: the row without augmentation that differs in the fewest fields; None where there is no such row."""
    differing: tuple[str, ...] = ()
    """Names of the fields in which the nearest row differs."""


def controls(board: Leaderboard) -> Mapping[int, Control]:
    """Find the control of every trained row with an augmentation: row → control."""
    plain: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(board.rows):
        if not row.baseline and row.key.aug == CONTROL:
            plain[_shared(row.key)].append(index)
    settings = {index: _settings(board.rows[index].key) for same in plain.values() for index in same}
    augmented = [index for index, row in enumerate(board.rows) if not row.baseline and row.key.aug not in {CONTROL, UNKNOWN}]
    return {index: _control(board.rows, index, plain.get(_shared(board.rows[index].key), []), settings) for index in augmented}


def _control(rows: Sequence[Row], index: int, alike: Sequence[int], settings: Mapping[int, Mapping[str, Any]]) -> Control:
    """Choose the control of a row among those that share all its settings; where there is none, name the nearest row.

    Args:
        rows: All rows.
        index: The row's.
        alike: Rows without augmentation that share its settings.
        settings: Row without augmentation → what it has to share, by name.
    """
    published = [one for one in alike if rows[one].key.file is None and rows[one].key.augmentation == "{}"]
    choice = published or list(alike)
    if len(choice) == 1:
        return Control(choice[0])
    if choice:
        return Control(None, choice[0], _ambiguous([rows[one].key for one in choice]))
    mine = _settings(rows[index].key)
    differing = {one: tuple(name for name in {**mine, **of} if mine.get(name) != of.get(name)) for one, of in settings.items()}
    nearest = min(differing, key=lambda one: len(differing[one]), default=None)
    return Control(None, nearest, () if nearest is None else differing[nearest])


def _ambiguous(keys: Sequence[RowKey]) -> tuple[str, ...]:
    """Name what tells several possible controls apart."""
    return tuple(name for name in ("augmentation", "file") if len({getattr(key, name) for key in keys}) > 1)


def _shared(key: RowKey) -> tuple[object, ...]:
    return (*(getattr(key, name) for name in SHARED), key.changed)


def _settings(key: RowKey) -> dict[str, Any]:
    """Return what a row shares with its control, each setting by its own name."""
    return {name: getattr(key, name) for name in SHARED} | json.loads(key.changed)
