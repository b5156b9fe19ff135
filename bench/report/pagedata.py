"""Collect what the page's scripts read, as one JSON value.

Rows, columns, runs and hardware stand in lists, and are named elsewhere by their index there. A column of the page is one
of `words.columns`; the plots name columns by their index in the leaderboard.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from bench.report import coverage, differences, findings, kept, markdown, plotdata, repetitions, tex, words
from bench.report.content import Content
from bench.report.logged import Curve
from bench.report.plotdata import short
from transfer.board.columns import Column
from transfer.board.entries import Entry
from transfer.board.published_numbers import PublishedCell


def build(content: Content, links: Sequence[str], curves: Sequence[Sequence[Curve]], live: str = "") -> dict[str, Any]:
    """Build the value; `links` are the runs' folders and `curves` what they logged, one per entry of the leaderboard.

    `live` is the version of a page that a server makes anew.
    """
    shown = words.columns(content.board)
    entries = content.board.entries
    hardware = list(dict.fromkeys(entry.record.environment.hardware for entry in entries))
    return {
        "absent": words.ABSENT,
        "live": live,
        "groups": _groups(shown),
        "columns": [_column(column) for column in shown],
        "filters": len(words.FIELD_HEADINGS),
        "fields": [field.heading for field in coverage.descriptions(content)],
        "rows": _rows(content, shown) + _published(content, shown),
        "hardware": [words.clean(name) for name in hardware],
        "runs": [
            _run(entry, hardware) | beside for entry, beside in zip(entries, _beside(entries, links, curves), strict=True)
        ],
        "beside": [{"word": name.partition(".")[0], "file": name} for name in kept.FILES],
        "copying": _copying(),
        **plotdata.build(content),
    }


def embed(data: dict[str, Any]) -> str:
    """Write JSON that may stand in a `script` element: nothing in it ends the element or begins a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _beside(entries: Sequence[Entry], links: Sequence[str], curves: Sequence[Sequence[Curve]]) -> Iterator[dict[str, Any]]:
    """Say what each run's folder holds beside the record; `beside` are the indices of those of `kept.FILES`."""
    for entry, link, logged in zip(entries, links, curves, strict=True):
        yield {
            "link": link,
            "beside": [index for index, name in enumerate(kept.FILES) if kept.beside(entry, name)],
            "picture": kept.PICTURE if kept.beside(entry, kept.PICTURE) else "",
            "curves": bool(logged),
        }


def _run(entry: Entry, hardware: Sequence[str]) -> dict[str, Any]:
    """Describe a run by its record."""
    record = entry.record
    return {
        "name": words.clean(entry.path.parent.name),
        "task": words.clean(record.task),
        "seeds": [record.checkpoint.provenance.seed, record.seed],
        "seconds": round(record.wall_seconds),
        "mib": round(record.peak_memory_mib),
        "speed": None if record.images_per_second is None else short(record.images_per_second),
        "hardware": hardware.index(record.environment.hardware),
        "finished": words.clean(record.finished),
        "command": words.clean(record.command),
    }


def _copying() -> dict[str, Any]:
    """Say how the other renderings write letters and marks, so that a row that is copied reads as there."""
    letters = {chr(letter): text for letter, text in tex.LETTERS.items()}
    return {"latex": letters, "marks": tex.MARKS, "markdown": markdown.SPECIAL.pattern}


def _groups(shown: Sequence[Column]) -> list[dict[str, Any]]:
    """Describe each protocol over its columns."""
    groups = []
    for _, group in groupby(shown, key=lambda column: column.protocol.key):
        same = list(group)
        protocol = same[0].protocol
        below = words.clean(f"{protocol.key.engine} · {protocol.key.data}")
        groups.append({"heading": words.heading(protocol), "id": protocol.id, "span": len(same), "below": below})
    return groups


def _column(column: Column) -> dict[str, Any]:
    """Describe a column; the sign is +1 where higher is better, −1 where lower is, and 0 where nothing is."""
    declared = column.metric
    named = {"name": words.clean(column.name), "unit": declared.axis, "meaning": declared.meaning}
    return {**named, "sign": declared.sign}


def _rows(content: Content, shown: Sequence[Column]) -> list[dict[str, Any]]:
    """Describe the measured rows."""
    board, labels = content.board, words.labels(content.board.rows)
    fields = [field.texts for field in coverage.descriptions(content)]
    return [
        {
            "label": labels[index],
            "kind": "untrained" if row.baseline else "",
            "fields": [texts[index] for texts in fields],
            "runs": row.entries,
            "cells": [_cell(content, labels, index, column) for column in shown],
            "repeats": repetitions.lines(content, index, shown),
        }
        for index, row in enumerate(board.rows)
    ]


def _cell(content: Content, labels: Sequence[str], row: int, column: Column) -> dict[str, Any] | None:
    """Describe a cell; None where nothing ran or is planned.

    `text` and `spread` are shown, `mean` sorts, `mark` and `against` say how it differs from the baseline, each of `runs`
    gave one of `numbers`; `missing` and `planned` say what a study plans of it beside that.
    """
    found, place = content.board.cells.get((row, column.index)), (row, column.index)
    missing, planned = coverage.marks(content, place), coverage.sentence(content, place)
    if found is None:
        return _empty(missing, planned) if missing else None
    text, _, spread = words.cell(found, column.metric).partition(" ")
    against = content.differences.get((row, column.index))
    return {
        "text": text,
        "spread": spread,
        "mean": found.mean,
        "best": (row, column.index) in content.best,
        "mark": differences.mark(against),
        "against": differences.difference(against, column.metric.digits, labels),
        "runs": found.entries,
        "numbers": [content.board.entries[entry].record.metrics[column.name] for entry in found.entries],
        **({"missing": missing, "planned": planned} if missing else {}),
    }


def _empty(missing: str, planned: str) -> dict[str, Any]:
    """Describe a cell that is planned and has no number."""
    nothing: dict[str, Any] = {"spread": "", "mean": None, "best": False, "mark": "", "against": "", "runs": [], "numbers": []}
    return nothing | {"text": missing, "planned": planned}


def _published(content: Content, shown: Sequence[Column]) -> list[dict[str, Any]]:
    """Describe the published rows, like the measured ones."""
    labels, rows = words.labels(content.board.rows), []
    more = len(coverage.descriptions(content)) - len(words.FIELD_HEADINGS)
    for row in content.published:
        method, aug, supervision, fraction, *others = map(words.clean, row.pretraining)
        labelled = f"{100 * float(fraction):g} %" if fraction else words.ABSENT
        fields = [text or words.ABSENT for text in (method, aug, supervision, labelled, *others)]
        rows.append(
            {
                "label": findings.published_label(row.pretraining),
                "kind": "published",
                "source": words.clean(row.source),
                "fields": fields + [words.ABSENT] * more,
                "runs": [],
                "cells": [_published_cell(row.cells.get(column.index), column, labels) for column in shown],
                "repeats": [],
            }
        )
    return rows


def _published_cell(found: PublishedCell | None, column: Column, labels: Sequence[str]) -> dict[str, Any] | None:
    """Describe a published number like a measured cell; None where there is none."""
    if found is None:
        return None
    digits = column.metric.digits
    return {
        "text": words.number(found.value, digits),
        "best": False,
        "spread": f"ours {words.signed(found.measured.difference, digits)}" if found.measured else "",
        "mean": found.value,
        "mark": "",
        "against": f"measured − published: {findings.against_published(found, digits, labels)}",
        "runs": [],
        "numbers": [],
    }
