"""Render the leaderboard as one wide CSV for machines: plain numbers, empty where absent, every metric of every record."""

from pathlib import Path
from typing import Any

import pandas as pd

from bench.report import words
from bench.report.content import Content
from transfer.board.columns import Column
from transfer.board.leaderboard import RowKey

COST = ("wall_hours", "device_hours", "images_per_second", "peak_memory_mib", "peak_gpu_mib")


def render(content: Content, out: Path) -> str:
    """Write one line per pre-training, under one line of names.

    Per column there are `TASK/PROTOCOL-ID/METRIC/mean`, `/std`, `/pretrainings`, `/trials` (of the pre-training that has the
    fewest), and `/difference` to the row's baseline with the ends of its interval, `/low` and `/high`, and the `/answer`.
    Lines with a `source` are published numbers. `leaderboard.json` has every unit.

    The protocol's id is the same in every report; `leaderboard.md` and `leaderboard.html` say what it stands for.
    """
    lines = [_line(content, row) for row in range(len(content.board.rows))] + _published(content)
    lines = [{_inert(name): _inert(value) for name, value in line.items()} for line in lines]
    text: str = pd.DataFrame(lines).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text


def _line(content: Content, row: int) -> dict[str, Any]:
    board = content.board
    cost = board.rows[row].cost
    line: dict[str, Any] = board.rows[row].key._asdict() | {f"pretrain_{name}": cost and getattr(cost, name) for name in COST}
    for column in board.columns:
        name = _name(column)
        found, against = board.cells.get((row, column.index)), content.differences.get((row, column.index))
        line[f"{name}/mean"] = found.mean if found else None
        line[f"{name}/std"] = found.std if found else None
        line[f"{name}/pretrainings"] = found.count.pretrainings if found else 0
        line[f"{name}/trials"] = found.count.fewest if found else 0
        line[f"{name}/difference"] = against.mean if against else None
        line[f"{name}/low"], line[f"{name}/high"] = against.interval if against else (None, None)
        line[f"{name}/answer"] = against.answer if against else None
        if content.study is not None:
            counts = content.study.planned.counts((row, column.index))
            line |= {f"{name}/planned": counts.total(), f"{name}/done": counts["done"]}
    line["note"] = words.GENERATED_NOTICE if board.generated else None
    line["source"] = None
    return line


def _published(content: Content) -> list[dict[str, Any]]:
    lines = []
    for row in content.published:
        line: dict[str, Any] = dict(zip(RowKey._fields, row.pretraining, strict=False))
        for column, cell in row.cells.items():
            line[f"{_name(content.board.columns[column])}/mean"] = cell.value
        lines.append(line | {"source": row.source})
    return lines


def _name(column: Column) -> str:
    return f"{column.protocol.key.task}/{column.protocol.id}/{column.name}"


def _inert(value: Any) -> Any:
    """Put the mark that makes it a text before a text that a spreadsheet would take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
