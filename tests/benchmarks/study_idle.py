"""Idle share of `studies/augmentations.yaml`, played on 8 and 16 devices by the local order. Prints a JSON line for each.

    .venv/bin/python tests/benchmarks/study_idle.py

What a cell takes is an assumption, in hours on one device: `HOURS`. The order knows estimates alone, each off by a factor of
exp(N(0, `wrong`)), as those of records are. Devices that no order could keep busy, because the longest chain of cells or the
sum of the work is what it is, are `forced`; the rest of the idle time, starts with it, is `idle`.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.study import plan
from bench.study.cells import Cell
from bench.study.forecast import STARTS
from bench.study.order import Order, play

FILE = Path(__file__).resolve().parents[2] / "studies" / "augmentations.yaml"
HOURS = {
    "pretrain": 42.0,  # 200 epochs: 53 h on 8 GPUs for all of ImageNet, a tenth of it here
    "linear": 5.0,
    "knn": 0.1,
    "voc0712": 8.0,
    "coco-c4": 32.0,
    "cityscapes": 10.0,
    "measure": 0.2,
}
DRAWS = 5


def hours(cell: Cell) -> float:
    return HOURS["measure" if cell.kind == "measure" else cell.values["task"]]


def seconds_of(cells: list[Cell], wrong: float, seed: int) -> Callable[[Cell], float]:
    """Seconds of cells, each off by a factor of its own."""
    factors = np.exp(np.random.default_rng(seed).normal(0.0, wrong, len(cells)))
    found = {cell.id: 3600 * hours(cell) * factor for cell, factor in zip(cells, factors, strict=True)}
    return lambda cell: float(found[cell.id])


def replayed(whole: plan.StudyPlan, devices: int, wrong: float, seed: int) -> tuple[float, float]:
    """Play the study once; returns the shares of the devices' time that are idle, and forced to be."""
    cells = list(whole.cells.values())
    true = seconds_of(cells, 0.2, seed)  # cells of one kind differ, too

    def estimated(cell: Cell) -> float:
        return true(cell) * factor(cell) / 3600 / hours(cell)

    factor = seconds_of(cells, wrong, seed + 1000)
    played = play(whole.cells, Order(whole, estimated), true, devices, STARTS)
    work = sum(true(cell) * cell.resource.devices for cell in cells)
    forced = 1 - work / devices / max(played.path, work / devices)
    return 1 - played.busy - forced, forced


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILE.name)
        path.write_text(FILE.read_text(encoding="utf-8"), encoding="utf-8")
        whole = plan.read(path)
    for devices in (8, 16):
        for wrong in (0.0, 0.3, 1.0):
            drawn = [replayed(whole, devices, wrong, seed) for seed in range(DRAWS)]
            idle, forced = (max(part) for part in zip(*drawn, strict=True))
            said = {"cells": len(whole.cells), "devices": devices, "estimates_off": wrong}
            print(json.dumps({**said, "idle_at_most": round(idle, 4), "forced_at_most": round(forced, 4)}))


if __name__ == "__main__":
    main()
