"""Put the repetitions of a row into words: a line for each pre-training, or for each trial of the only one."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report import words
from bench.report.content import Content
from transfer.board import cells
from transfer.board.cells import Unit
from transfer.board.columns import Column


def lines(content: Content, row: int, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Describe the repetitions of a row; none where nothing was repeated.

    `seeds` are those of the runs a line is of, of the pre-training and of the run, null where any belongs to it. Each of
    `cells` has the `text` and the `spread` of a number, or is null.
    """
    units = [content.board.units.get((row, column.index), ()) for column in columns]
    seeds = sorted({unit.seed for of in units for unit in of}, key=lambda seed: -1 if seed is None else seed)
    if len(seeds) > 1:
        return [
            _line(f"seed {words.ABSENT if seed is None else seed}", [seed, None], _of(units, seed), columns) for seed in seeds
        ]
    trials = sorted({run for of in units for unit in of for run in unit.values})
    return [_line(f"trial {run}", [None, run], _trial(units, run), columns) for run in trials] if len(trials) > 1 else []


def _line(label: str, seeds: list[int | None], units: Sequence[Unit | None], columns: Sequence[Column]) -> dict[str, Any]:
    return {"label": label, "seeds": seeds, "cells": [_cell(*pair) for pair in zip(units, columns, strict=True)]}


def _cell(unit: Unit | None, column: Column) -> dict[str, str] | None:
    if unit is None:
        return None
    text, _, spread = words.cell(cells.cell((unit,)), column.metric).partition(" ")
    return {"text": text, "spread": spread}


def _of(units: Sequence[Sequence[Unit]], seed: int | None) -> list[Unit | None]:
    """Pick the pre-training of a seed in every column."""
    return [next((unit for unit in of if unit.seed == seed), None) for of in units]


def _trial(units: Sequence[Sequence[Unit]], run: int) -> list[Unit | None]:
    """Pick one trial of the only pre-training in every column."""
    return [next((_alone(unit.seed, {run: unit.values[run]}) for unit in of if run in unit.values), None) for of in units]


def _alone(seed: int | None, values: Mapping[int, float]) -> Unit:
    return Unit(seed, values, *values.values())
