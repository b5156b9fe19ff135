"""Find what each row is compared with: its control, or the untrained backbone."""

import json
from collections.abc import Sequence

from transfer.board.controls import Control, controls
from transfer.board.leaderboard import Leaderboard, Row


def baselines(board: Leaderboard) -> dict[int, Control]:
    """Find what each trained row is compared with; a row that nothing comes near to is not in it."""
    untrained = [index for index, row in enumerate(board.rows) if row.baseline]
    augmented = controls(board)
    found: dict[int, Control] = {}
    for index, row in enumerate(board.rows):
        control = augmented.get(index, Control(None))
        if not row.baseline and control == Control(None):
            control = _untrained(board.rows, row, untrained)
        if control != Control(None):
            found[index] = control
    return found


def _untrained(rows: Sequence[Row], row: Row, untrained: Sequence[int]) -> Control:
    """Choose the untrained backbone of a row's architecture and stem; without one of that stem, another is nearest."""
    alike = [index for index in untrained if rows[index].key.arch == row.key.arch]
    same = [index for index in alike if _stem(rows[index]) == _stem(row)]
    if same:
        return Control(same[0])
    return Control(None, alike[0], ("stem",)) if alike else Control(None)


def _stem(row: Row) -> str:
    return str(json.loads(row.key.changed).get("stem", "imagenet"))
