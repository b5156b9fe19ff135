"""The leaderboard as one HTML file that needs nothing else: `page.html.j2` filled with plain values."""

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.report import words
from bench.report.gather import Problem
from transfer.columns import Column, Protocol
from transfer.leaderboard import Cell, Entry, Leaderboard

TEMPLATE = Path(__file__).with_name("page.html.j2")


def render(board: Leaderboard, problems: Sequence[Problem], out: Path) -> str:
    """The page; its links to the runs are relative to `out`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    columns = words.columns(board)
    keys = [column.protocol.key for _, column in columns]
    starts = [key != before for key, before in zip(keys, [None, *keys], strict=False)]
    runs = [_run(entry, out) for entry in board.entries]
    return environment.get_template(TEMPLATE.name).render(
        title=words.TITLE,
        notice=words.GENERATED_NOTICE if board.generated else "",
        how_to_read=words.HOW_TO_READ,
        absent=words.ABSENT,
        groups=_groups([column for _, column in columns]),
        fields=words.descriptions(board.rows),
        columns=[_column(column) | {"first": first} for (_, column), first in zip(columns, starts, strict=True)],
        rows=[_row(board, row, columns, runs) | {"label": name} for row, name in enumerate(words.labels(board.rows))],
        protocols=[_protocol(protocol) for protocol in board.protocols],
        runs=runs,
        problems=[str(problem.message) for problem in problems],
    )


def link(entry: Entry, out: Path) -> str:
    """A run's folder as a relative address that no name can turn into anything else."""
    return quote(os.path.relpath(entry.path.parent, out).replace(os.sep, "/")) + "/"


def _run(entry: Entry, out: Path) -> dict[str, Any]:
    record = entry.record
    return {
        "link": link(entry, out),
        "name": words.clean(entry.path.parent.name),
        "task": words.clean(record.task),
        "backbone": words.clean(f"{record.checkpoint.provenance.method} · {record.checkpoint.provenance.aug}"),
        "seeds": f"{'–' if record.checkpoint.provenance.seed is None else record.checkpoint.provenance.seed} / {record.seed}",
        "seconds": words.number(record.wall_seconds, 0),
        "memory": words.number(record.peak_memory_mib, 0),
        "hardware": words.clean(record.environment.hardware),
        "finished": words.clean(record.finished),
        "command": words.clean(record.command),
    }


def _groups(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """One head per protocol over its columns."""
    groups = []
    for _, group in groupby(columns, key=lambda column: column.protocol.key):
        same = list(group)
        protocol = same[0].protocol
        below = words.clean(f"{protocol.key.engine} · {protocol.key.data}")
        groups.append({"heading": words.heading(protocol), "id": protocol.id, "span": len(same), "below": below})
    return groups


def _protocol(protocol: Protocol) -> dict[str, Any]:
    changed = bool(protocol.changed)
    return {"heading": words.heading(protocol), "id": protocol.id, "changed": changed, "about": words.about(protocol)}


def _column(column: Column) -> dict[str, Any]:
    return {"name": words.clean(column.name), "meaning": column.metric.meaning, "falling": column.metric.sign >= 0}


def _row(board: Leaderboard, row: int, columns: Sequence[tuple[int, Column]], runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    cells = [_cell(board.cells.get((row, place)), column, runs) for place, column in columns]
    made = [runs[place] for place in board.rows[row].entries]
    return {"baseline": board.rows[row].baseline, "runs": made, "cells": cells}


def _cell(found: Cell | None, column: Column, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if found is None:
        return {"text": words.ABSENT, "value": "", "best": False, "runs": [], "why": "not run"}
    why = "ran, but could not be computed" if found.mean is None else ""
    text, value = words.cell(found, column.metric), "" if found.mean is None else repr(found.mean)
    return {"text": text, "value": value, "best": found.best, "runs": [runs[place] for place in found.entries], "why": why}
