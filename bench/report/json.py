"""Render everything the report decides as one JSON file: units, cells, differences and claims, for notebooks.

`pandas.read_json("leaderboard.json", typ="series")["differences"]` is a list of flat lines, which `pandas.DataFrame` takes.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.report import coverage, words
from bench.report.content import Content
from transfer.board.claims import deciding
from transfer.board.columns import Column
from transfer.metrics import smallest_interest

SCHEMA_VERSION = 1
"""Raised with every change that an older reader would misread."""


def render(content: Content, out: Path) -> str:
    """Write the tables: each a list of lines that name row and column by index and in words."""
    board = content.board
    tables = {
        "rows": rows(content),
        "columns": [_column(content, column) for column in board.columns],
        "units": _units(content),
        "cells": cells(content),
        "differences": differences(content),
        "claims": _claims(content),
        "explained": [plain(one) for one in content.explained],
        "predictions": [plain(one) for one in content.predictions],
    }
    notice = words.GENERATED_NOTICE if board.generated else None
    planned = {} if content.study is None else {"coverage": coverage.plain(content.study)}
    whole = {"schema_version": SCHEMA_VERSION, "notice": notice, **tables, **planned}
    return json.dumps(whole, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Turn a finding into plain values: a dataclass into its fields and its public properties."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        properties = [name for name, member in vars(type(value)).items() if isinstance(member, property)]
        return {name: plain(getattr(value, name)) for name in (*names, *properties) if not name.startswith("_")}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return value.item() if hasattr(value, "item") else str(value)


def rows(content: Content) -> list[dict[str, Any]]:
    """Describe the rows: the settings that make each, and its name in the tables."""
    labels = words.labels(content.board.rows)
    rows = []
    for index, row in enumerate(content.board.rows):
        key = row.key._asdict()
        settings = {name: json.loads(key[name]) for name in ("augmentation", "changed")}
        rows.append({"row": index, "name": labels[index], "untrained": row.baseline, **key, **settings})
    return rows


def _column(content: Content, column: Column) -> dict[str, Any]:
    key, declared = column.protocol.key, column.metric
    chosen = column.name in content.interests
    return {
        "column": column.index,
        "protocol_id": column.protocol.id,
        "metric": column.name,
        **key._asdict(),
        "changed": column.protocol.changed,
        "better": declared.better,
        "smallest_difference_of_interest": smallest_interest(column.name, content.interests),
        "reason": "chosen for this report" if chosen else declared.interest and declared.interest.reason,
    }


def _place(content: Content, row: int, column: int) -> dict[str, Any]:
    """Name a row and a column by index, and in the words that a notebook filters by."""
    key, metric = content.board.rows[row].key, content.board.columns[column]
    return {
        "row": row,
        "column": column,
        "method": key.method,
        "aug": key.aug,
        "arch": key.arch,
        "protocol": metric.protocol.key.protocol,
        "metric": metric.name,
    }


def _units(content: Content) -> list[dict[str, Any]]:
    """List the units of pre-training, each with the numbers of its trials."""
    return [
        _place(content, row, column)
        | {"seed": unit.seed, "run_seeds": [*unit.values], "values": [*unit.values.values()], "mean": unit.mean}
        for (row, column), units in content.board.units.items()
        for unit in units
    ]


def cells(content: Content) -> list[dict[str, Any]]:
    """List the cells; `best`: it can't be told from the best of its column."""
    return [
        _place(content, row, column)
        | {"mean": cell.mean, "std": cell.std, **cell.count._asdict(), "best": (row, column) in content.best}
        for (row, column), cell in content.board.cells.items()
    ]


def _claims(content: Content) -> list[dict[str, Any]]:
    """List the claims; of a study with how many of their planned units are there.

    `pretrainings_to_decide` is what every row would need; 0: more than 100; None: it is decided, or repeating can't decide it.
    """
    lines = []
    for index, claim in enumerate(content.claims):
        line: dict[str, Any] = plain(claim)
        del line["places"]
        for one in line["evidence"]:
            del one["basis"]
        line["pretrainings_to_decide"] = deciding.pretrainings(claim)
        lines.append(line | (content.standing[index]._asdict() if content.study else {}))
    return lines


def differences(content: Content) -> list[dict[str, Any]]:
    """List the differences to the baselines; `low` and `high` hold for all comparisons of a column together."""
    lines = []
    for (row, column), found in content.differences.items():
        low, high = found.interval
        line = _place(content, row, column) | {"low": low, "high": high} | plain(found)
        del line["interval"]
        lines.append(line)
    return lines
