"""Time (of the processor) `bench study` on 5,000 cells: reading the file, and looking at what has become of them. Prints JSON.

    .venv/bin/python tests/benchmarks/study_speed.py

500 pre-trainings with nine evaluations each; half of the cells have a record. Imports are counted apart: they are torch's.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STUDY = """
study: speed
data: {pretrain: imagenet, imagefolder: imagenet, voc: voc, coco: coco}
precision: bf16
pretrain:
  main:
    set: {arch: resnet50}
    grid:
      aug: [none, cutmix, mixup, cutout, random-erasing]
      queue: [4096, 8192, 16384, 32768, 65536]
      epochs: [100, 200, 400, 800]
    seeds: 5
evaluate:
  - {of: main, task: [linear, knn, voc07, voc0712, coco-c4]}
  - {of: main, measure: {probe: [none, cutout, cutmix, mixup]}}
"""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def lay(cells: list[Any]) -> None:
    """Write a record for each cell."""
    for cell in cells:
        cell.folder.mkdir(parents=True)
        provenance = {"arch": "resnet50", "method": "mocov2", "seed": 0, "epochs": cell.epochs or 200}
        sha = cell.id if cell.subject is None else cell.needs
        plain = {
            **cell.says,
            "checkpoint": {"sha256": sha, "source": "bench", "provenance": provenance},
            "data": {"name": "imagenet", "fingerprint": "f", "train": 100},
            "environment": {"hardware": "a processor"},
            "wall_seconds": 10.0,
            "peak_memory_mib": 10.0,
        }
        (cell.folder / "result.json").write_text(json.dumps(plain), encoding="utf-8")


def main() -> None:
    def imports() -> Any:
        from bench.study import cost, forecast, plan, states

        return plan, states, cost, forecast

    importing, (plan, states, cost, forecast) = timed(imports)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        path = Path("speed.yaml")
        path.write_text(STUDY, encoding="utf-8")
        reading, whole = timed(lambda: plan.read(path))
        cells = list(whole.cells.values())
        ours = {cell.id for cell in whole.pretrainings[::2]}
        lay([cell for cell in cells if cell.id in ours or cell.needs in ours])
        observer = states.Observer.of(whole)
        first, _ = timed(lambda: observer.look(whole))
        again, look = timed(lambda: observer.look(whole))
        forecasting, _ = timed(lambda: forecast.forecast(look, cost.Costs(observer.records.all()), 16))
        os.chdir("/")
    print(
        json.dumps(
            {
                "cells": len(cells),
                "done": look.counts()["done"],
                "import_seconds": round(importing, 2),
                "read_seconds": round(reading, 2),
                "first_look_seconds": round(first, 2),
                "look_seconds": round(again, 2),
                "forecast_seconds": round(forecasting, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
