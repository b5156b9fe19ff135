"""What the page's scripts are told, as one JSON value."""

import json
import os
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from bench.report import findings, measures, words
from bench.report.content import Content
from transfer.board.columns import Column
from transfer.board.cost import front
from transfer.board.leaderboard import Entry
from transfer.board.probe_matrix import SWEPT, Sweep, Value

Shown = Sequence[tuple[int, Column]]
BESIDE = ("config.yaml", "log.txt", "command.txt")
"""What a run's folder holds beside its record; records are also kept alone."""


def build(content: Content, links: Sequence[str]) -> dict[str, Any]:
    """Rows, columns, runs and plots; `links` are the runs' folders. Places in `runs`, `rows` and `columns` are indices."""
    shown = words.columns(content.board)
    hardware = list(dict.fromkeys(entry.record.environment.hardware for entry in content.board.entries))
    pareto = _pareto(content)
    plotted = {place for one in content.predictions for place in (one.measure, one.metric)} | {one["column"] for one in pareto}
    return {
        "absent": words.ABSENT,
        "groups": _groups(shown),
        "columns": [_column(column) for _, column in shown],
        "filters": len(words.FIELD_HEADINGS),
        "fields": [field.heading for field in words.descriptions(content.board.rows)],
        "rows": _rows(content, shown) + _published(content, shown),
        "hardware": [words.clean(name) for name in hardware],
        "runs": [
            _run(entry, place, hardware.index(entry.record.environment.hardware))
            for entry, place in zip(content.board.entries, links, strict=True)
        ],
        "values": {place: _values(content, place) for place in sorted(plotted)},
        "titles": {place: _title(content, place) for place in sorted(plotted)},
        "pairs": [
            [one.measure, one.metric, one.rows, findings.estimate(one.spearman), findings.estimate(one.kendall), one.verdict]
            for one in content.predictions
            if len(one.rows) > 1
        ],
        "pareto": pareto,
        "beside": [[name.partition(".")[0], name] for name in BESIDE],
        "sweeps": [_sweep(sweep) for sweep in content.sweeps],
    }


def embed(data: dict[str, Any]) -> str:
    """JSON that may stand in a `script` element: nothing in it ends the element or begins a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _run(entry: Entry, link: str, hardware: int) -> list[Any]:
    """Folder, name, task, seeds of pre-training and run, seconds, MiB, images per second, place of the hardware, which of
    `BESIDE` are there (the sum of 1, 2, 4 for the first, second, third), end, command.
    """
    record = entry.record
    seeds = (record.checkpoint.provenance.seed, record.seed)
    speed = None if record.images_per_second is None else _short(record.images_per_second)
    cost = (round(record.wall_seconds), round(record.peak_memory_mib), speed, hardware)
    there = sum(1 << bit for bit, name in enumerate(BESIDE) if os.path.isfile(entry.path.with_name(name)))
    texts = (words.clean(record.finished), words.clean(record.command))
    return [link, words.clean(entry.path.parent.name), words.clean(record.task), *seeds, *cost, there, *texts]


def _groups(shown: Shown) -> list[dict[str, Any]]:
    """One head per protocol over its columns."""
    groups = []
    for _, group in groupby(shown, key=lambda pair: pair[1].protocol.key):
        same = [column for _, column in group]
        protocol = same[0].protocol
        below = words.clean(f"{protocol.key.engine} · {protocol.key.data}")
        groups.append({"heading": words.heading(protocol), "id": protocol.id, "span": len(same), "below": below})
    return groups


def _column(column: Column) -> dict[str, Any]:
    shown = column.metric
    unit = f"cosine, {shown.direction}" if shown.direction else "" if shown.meaning else "%"
    named = {"name": words.clean(column.name), "unit": unit, "meaning": shown.meaning}
    return {**named, "sign": shown.sign, "digits": shown.digits}


def _rows(content: Content, shown: Shown) -> list[dict[str, Any]]:
    board, labels = content.board, words.labels(content.board.rows)
    fields = [field.texts for field in words.descriptions(board.rows)]
    return [
        {
            "label": labels[place],
            "kind": "untrained" if row.baseline else "",
            "fields": [texts[place] for texts in fields],
            "runs": row.entries,
            "cells": [_cell(content, labels, place, at, column) for at, column in shown],
        }
        for place, row in enumerate(board.rows)
    ]


def _cell(content: Content, labels: Sequence[str], row: int, place: int, column: Column) -> list[Any] | None:
    """Number, spread, mean for sorting, mark, difference in words, runs, their numbers; None where nothing ran."""
    found = content.board.cells.get((row, place))
    if found is None:
        return None
    mean, _, spread = words.cell(found, column.metric).partition(" ")
    against = content.differences.get((row, place))
    sentence = findings.difference(against, column.metric.digits, labels)
    values = [content.board.entries[entry].record.metrics[column.name] for entry in found.entries]
    return [mean, spread, found.mean, findings.mark(against), sentence, found.entries, values]


def _published(content: Content, shown: Shown) -> list[dict[str, Any]]:
    labels, rows = words.labels(content.board.rows), []
    more = len(words.descriptions(content.board.rows)) - len(words.FIELD_HEADINGS)
    for row in content.published:
        cells: list[list[Any] | None] = []
        for place, column in shown:
            found = row.cells.get(place)
            if found is None:
                cells.append(None)
                continue
            digits = column.metric.digits
            difference = f"measured − published: {findings.against_published(found, digits, labels)}"
            ours = f"ours {words.signed(found.measured.difference, digits)}" if found.measured else ""
            cells.append([words.number(found.value, digits), ours, found.value, "", difference, [], []])
        method, aug, supervision, fraction, *others = map(words.clean, row.pretraining)
        share = f"{100 * float(fraction):g} %" if fraction else words.ABSENT
        fields = [text or words.ABSENT for text in (method, aug, supervision, share, *others)]
        label = findings.published_label(row.pretraining)
        rows.append(
            {"label": label, "kind": "published", "source": words.clean(row.source)}
            | {"fields": fields + [words.ABSENT] * more, "runs": [], "cells": cells}
        )
    return rows


def _values(content: Content, place: int) -> list[float | None]:
    cells = (content.board.cells.get((row, place)) for row in range(len(content.board.rows)))
    return [None if cell is None or cell.mean is None else _short(cell.mean) for cell in cells]


def _title(content: Content, place: int) -> str:
    """A column over an axis, with its unit."""
    shown = content.board.columns[place].metric
    unit = f"cosine, {shown.direction}" if shown.direction else "%" if shown.sign else shown.meaning
    return findings.metric(content, place) + (f" ({unit})" if unit else "")


def _pareto(content: Content) -> list[dict[str, Any]]:
    """Cost and score of the rows whose pre-training was recorded, for each ranking metric two of them have."""
    board, plots = content.board, []
    for place, column in words.columns(board, headline=True):
        points = [
            (row, made.cost.device_hours, cell.mean)
            for row, made in enumerate(board.rows)
            if made.cost is not None and (cell := board.cells.get((row, place))) is not None and cell.mean is not None
        ]
        if column.metric.sign > 0 and len(points) > 1:
            best = front([(hours, mean) for _, hours, mean in points])
            hours = {row: _short(cost) for row, cost, _ in points}
            plots.append({"column": place, "hours": hours, "front": [points[at][0] for at in best]})
    return plots


def _sweep(sweep: Sweep) -> dict[str, Any]:
    """The curves of one sweep: for each measure its rows, and of each row the strengths with mean and interval."""
    return {
        "title": f"{measures.sweep_title(sweep)} on {words.clean(sweep.protocol.key.data)}",
        "x": measures.swept(sweep),
        "numeric": sweep.numeric,
        "panels": [
            {"title": measures.measure_title(name), "lines": [[row, *_line(sweep, line)] for row, line in lines.items()]}
            for name in SWEPT
            if (lines := sweep.values[name])
        ],
    }


def _line(sweep: Sweep, line: Sequence[Value | None]) -> list[list[Any]]:
    """Strengths, means, and the distances to the ends of their intervals, below and above (0 where none is known)."""
    known = [(strength, found) for strength, found in zip(sweep.strengths, line, strict=True) if found is not None]
    ends = [(found.mean, *(found.interval or (found.mean, found.mean))) for _, found in known]
    return [
        [strength if sweep.numeric else measures.strength(strength) for strength, _ in known],
        [_short(mean) for mean, _, _ in ends],
        [_short(max(mean - low, 0.0)) for mean, low, _ in ends],
        [_short(max(high - mean, 0.0)) for mean, _, high in ends],
    ]


def _short(value: float) -> float:
    return float(f"{value:.6g}")
