"""Put into words what a study plans of a leaderboard: the marks of cells that are not whole, and the section Coverage."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from bench.report import words
from bench.report.content import Content, Study
from pretrain.core.counts import counted
from transfer.board.cells import Place
from transfer.board.planned import STATES, State

TITLE = "Coverage"
HEADINGS = ("block · task", "done", "planned", "to do", "running", "failed", "impossible")
MARK_OF: dict[State, str] = {"to do": "○", "running": "…", "failed": "✗", "impossible": "∅"}
"""State of a run that is not done → its mark in the table."""
LEGEND = (
    "Planned by the study and not there: ○ to do, … running, ✗ failed, ∅ impossible (its backbone is missing). "
    f"2/3○: 2 of 3 planned runs are done, and the third is to do. {words.ABSENT} is not planned."
)
READ = "A cell is one run of the study. One that several blocks name is counted in each of them, and once in the sum."
UNITS = (
    "“3 of 9 planned units”: the study plans nine numbers for this claim, each of one pre-training under one metric, and "
    "three are there. Until all nine are, “undecided” may only mean that runs are missing, and any verdict may change."
)
PRETRAININGS = "pre-trainings"
"""Over the column that says which of a row's pre-trainings are there."""
NOTHING = "nothing planned for it"
NAMED = 3
"""Cells of one trouble that are named."""


class TroubleLine(NamedTuple):
    """Cells of one trouble, in words."""

    what: str
    """Mark, how many cells, state."""
    why: str
    """The message of the first one, in lines."""
    cells: str


def summary(study: Study) -> str:
    """Say in one line how much of a study is done."""
    total = study.total.total()
    rest = ", ".join(f"{study.total[state]:,} {state}" for state in STATES[1:] if study.total[state])
    return f"study {study.name}: {study.total['done']:,} of {total:,} cells done" + (f"; {rest}" if rest else "")


def cell(content: Content, row: int, column: int) -> str:
    """Write a cell of the leaderboard, `12.3 ± 0.4 (3 × 5)`, with what is missing of it: `2/3○`; or its mark alone."""
    board = content.board
    found = board.cells.get((row, column))
    missing = marks(content, (row, column))
    if found is None and missing:
        return missing
    return " ".join(filter(None, [words.cell(found, board.columns[column].metric), missing]))


def marks(content: Content, place: Place) -> str:
    """Mark what is missing of a cell: of one without a run `○`, of others how much is done before it; empty if nothing is."""
    if content.study is None:
        return ""
    return _marked(content.study.planned.counts(place), begun=place in content.board.cells)


def descriptions(content: Content) -> list[words.Field]:
    """Make the columns that describe the rows; of a study also which of their pre-trainings are there."""
    described = words.descriptions(content.board.rows)
    if content.study is None:
        return described
    made = content.study.planned.pretrainings
    counts = [Counter(run.state for run in made.get(row, ())) for row in range(len(content.board.rows))]
    texts = (_marked(of) or (f"{of['done']}/{of.total()}" if of else words.ABSENT) for of in counts)
    return [*described, words.Field(PRETRAININGS, tuple(texts))]


def _marked(counts: Counter[State], *, begun: bool = False) -> str:
    """Mark what is missing of some runs, with how many are done where any is; empty where nothing is missing."""
    missing = "".join(mark for state, mark in MARK_OF.items() if counts[state])
    return f"{counts['done']}/{counts.total()}{missing}" if missing and (counts["done"] or begun) else missing


def sentence(content: Content, place: Place) -> str:
    """Say how many of the planned runs of a cell are done, and what the others are; empty where nothing is missing."""
    if not marks(content, place) or content.study is None:
        return ""
    counts = content.study.planned.counts(place)
    rest = ", ".join(f"{counts[state]} {state}" for state in STATES[1:] if counts[state])
    return f"{counts['done']} of {counts.total()} planned runs done: {rest}"


def lines(study: Study) -> list[tuple[str, ...]]:
    """Write the table under `HEADINGS`, the sum last."""
    made = [_line(words.clean(f"{group.block} · {group.task}"), group.counts) for group in study.groups]
    return [*made, _line("all, each cell once", study.total)]


def troubles(study: Study) -> list[TroubleLine]:
    """Write what failed or is impossible, a line for each cause."""
    return [
        TroubleLine(f"{MARK_OF[one.state]} {_cells(len(one.cells))} {one.state}", words.lines(one.message), _named(one.cells))
        for one in study.troubles
    ]


def strangers(study: Study) -> str:
    """Say how many records are of no cell; empty where none is."""
    if not study.strangers:
        return ""
    several = "records in the same folders are" if study.strangers > 1 else "record in the same folders is"
    return f"{study.strangers:,} {several} of no cell of this study, and not in this report."


def plain(study: Study) -> dict[str, Any]:
    """Return the section as JSON values, with the counts of every cell of the leaderboard that is planned."""
    places = study.planned.runs
    return {
        "study": study.name,
        "total": _plain(study.total),
        "groups": [{"block": group.block, "task": group.task, **_plain(group.counts)} for group in study.groups],
        "troubles": [asdict(one) for one in study.troubles],
        "strangers": study.strangers,
        "cells": [{"row": row, "column": column, **_plain(study.planned.counts((row, column)))} for row, column in places],
    }


def standing(content: Content, index: int) -> str:
    """Say on how many of its planned units a claim stands: `3 of 9 planned units`; empty without a study."""
    if content.study is None:
        return ""
    found = content.standing[index]
    return f"{found.units:,} of {found.planned:,} planned units" if found.planned else NOTHING


def _plain(counts: Mapping[State, int]) -> dict[str, int]:
    return {**{state.replace(" ", "_"): counts.get(state, 0) for state in STATES}, "planned": sum(counts.values())}


def _line(name: str, counts: Counter[State]) -> tuple[str, ...]:
    """Write a line under `HEADINGS`."""
    numbers = {"planned": counts.total(), **{str(state): count for state, count in counts.items()}}
    return (name, *(f"{numbers.get(heading, 0):,}" for heading in HEADINGS[1:]))


def _cells(count: int) -> str:
    return counted(count, "cell")


def _named(cells: tuple[str, ...]) -> str:
    more = [f"and {len(cells) - NAMED:,} more"] if len(cells) > NAMED else []
    return ", ".join([*map(words.clean, cells[:NAMED]), *more])
