#!/usr/bin/env python3
"""Time `bench report` on many hand-made records, and print one JSON line.

    report_speed.py [--records 10000] [--out FOLDER]

`read_seconds` is files to records, `aggregate_seconds` files to the leaderboard with its cells and differences,
`report_seconds` everything: files read, findings computed, all renderings written. `peak_mib` is the largest resident
memory of the process, imports included. Exits with 1 if aggregating takes 3 s or 500 MiB, or the page has 8 MB.
"""

import argparse
import io
import json
import random
import resource
import runpy
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.report import read, report
from bench.report.gather import gather

SECONDS, MIB, PAGE = 3.0, 500.0, 8e6
_shared = runpy.run_path(str(Path(__file__).resolve().parents[1] / "sample_records.py"))
TASKS = {
    "linear": ("top1", "top5"),
    "knn": ("knn",),
    "voc0712": ("AP50", "AP", "AP75"),
    "coco-c4": ("AP_box", "AP50_box", "AP75_box", "AP_seg", "AP50_seg", "AP75_seg"),
    "cityscapes": ("mIoU", "mAcc", "aAcc"),
    "representation": ("Linv", "Ldiv", "diversity", "diversity_cap", "anisotropy"),
}


def lay(count: int, folder: Path) -> None:
    """Write `count` records: pre-trainings of 5 augmentations × 4 label fractions × …, 3 seeds, every task."""
    draw, made = random.Random(0), 0
    row = 0
    while made < count:
        aug, fraction, epochs = ("none", "cutout", "random-erasing", "cutmix", "mixup")[row % 5], row // 5 % 4, row // 20
        name = {"aug": aug, "supervision": "semi", "label_fraction": (fraction + 1) / 4, "epochs": epochs + 1}
        for seed in range(3):
            for task, metrics in TASKS.items():
                low, high = (0, 1) if task == "representation" else (20, 80)
                numbers = {metric: draw.uniform(low, high) for metric in metrics}
                kind = "measure" if task == "representation" else "transfer"
                record = _shared["made"](task, numbers, kind=kind, seed=seed, **name)
                _shared["write"](record, _file(folder / f"{task}-mocov2-{aug}-semi-{made:06d}-shapes-s{seed}"))
                made += 1
            made += 1
            cost = {"kind": "pretrain", "wall_seconds": draw.uniform(100, 900), "images_per_second": 500.0}
            _shared["write"](
                _shared["made"]("pretrain", {"loss": 1.0}, seed=seed, **cost, **name), _file(folder / f"p{made:06d}")
            )
        row += 1


def _file(run: Path) -> Path:
    run.mkdir()
    return run / "result.json"


def main() -> None:
    """Parse, lay, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary)
        runs = out / "runs"
        if not runs.is_dir():
            runs.mkdir(parents=True)
            lay(options.records, runs)
        start = time.perf_counter()
        gather([runs])
        read_seconds = time.perf_counter() - start
        start, cpu = time.perf_counter(), time.process_time()
        content = read([runs])
        rows, cells = len(content.board.rows), len(content.board.cells) and len(content.differences)
        aggregate_seconds, aggregate_cpu = time.perf_counter() - start, time.process_time() - cpu
        aggregate_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        entries = len(content.board.entries)
        del content
        start, cpu = time.perf_counter(), time.process_time()
        report([runs], out, Console(file=io.StringIO(), width=120))
        report_seconds, report_cpu = time.perf_counter() - start, time.process_time() - cpu
        page = (out / "leaderboard.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"records": entries, "rows": rows, "differences": cells, "read_seconds": round(read_seconds, 2)}
    line |= {
        "aggregate_seconds": round(aggregate_seconds, 2),
        "aggregate_cpu_seconds": round(aggregate_cpu, 2),
        "aggregate_mib": round(aggregate_mib),
    }
    line |= {
        "report_seconds": round(report_seconds, 2),
        "report_cpu_seconds": round(report_cpu, 2),
        "peak_mib": round(peak),
        "page_bytes": page,
    }
    print(json.dumps(line))
    sys.exit(not (aggregate_seconds < SECONDS and peak < MIB and page < PAGE))


if __name__ == "__main__":
    main()
