"""The leaderboard as one wide CSV for machines: plain numbers, empty where absent, every metric of every record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report import words
from bench.report.gather import Problem
from transfer.columns import Column
from transfer.leaderboard import Leaderboard


def render(board: Leaderboard, problems: Sequence[Problem], out: Path) -> str:
    """One line per pre-training, under one line of names; `TASK/PROTOCOL-ID/METRIC/mean`, `/std` and `/n` per column.

    The protocol's id is the same in every report; `leaderboard.md` and `leaderboard.html` say what it stands for.
    """
    lines = []
    for place, row in enumerate(board.rows):
        line: dict[str, Any] = row.key._asdict() | {"pretrain_wall_seconds": row.wall_seconds}
        for number, column in enumerate(board.columns):
            found, name = board.cells.get((place, number)), _name(column)
            line[f"{name}/mean"] = found.mean if found else None
            line[f"{name}/std"] = found.std if found else None
            line[f"{name}/n"] = found.n if found else 0
        line["note"] = words.GENERATED_NOTICE if board.generated else None
        lines.append(line)
    text: str = pd.DataFrame(lines).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text


def _name(column: Column) -> str:
    return f"{column.protocol.key.task}/{column.protocol.id}/{column.name}"
