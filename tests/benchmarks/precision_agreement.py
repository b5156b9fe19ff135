"""Whether backbones pre-trained in bf16 and in fp32 are as good: kNN top-1, paired over seeds; prints JSON.

    python tests/benchmarks/precision_agreement.py --data FOLDER [--config FILE] [--epochs 2] [--seeds 3] [--out FOLDER]

Each seed pre-trains in both precisions, by the small budget or by a configuration, and is evaluated on all validation images,
of which there must be 3,000. Runs go below OUT/runs; what is done there is reused. Exits with 1 where the mean
difference is neither below a point nor below twice its standard error.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from bench.options import SMALL, Place, Setup
from bench.progress import Display
from bench.verbs import pretrain as pretraining
from bench.verbs import transfer as transferring
from bench.verbs.transfer import Transfer

LEAST_IMAGES = 3000
POINT = 1.0


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("a standard error needs two seeds")
    data, config = str(options.data.resolve()), options.config and str(options.config.resolve())
    options.out.mkdir(parents=True, exist_ok=True)
    os.chdir(options.out)
    with Display() as display:
        setup, place = Setup(budget=None if config else SMALL, config=config), Place(data=data)
        fields = {"epochs": options.epochs}
        rows = [
            {
                name: measured(display, setup, place, {**fields, "seed": seed, "precision": name}, options.size)
                for name in ("bf16", "fp32")
            }
            for seed in range(options.seeds)
        ]
    sys.exit(not report(rows))


def measured(display: Display, setup: Setup, place: Place, fields: dict[str, Any], size: int) -> float:
    """kNN top-1 of one pre-training, in percent."""
    checkpoint = str(pretraining.run(fields, setup, place, display.hook).folder / "backbone.pth")
    asked = Transfer(task="knn", checkpoint=checkpoint, adjustments={"size": size}, setup=Setup(budget=SMALL))
    record = transferring.run(asked, place, display.hook).record
    if record.data.val < LEAST_IMAGES:
        raise SystemExit(f"only {record.data.val} validation images; {LEAST_IMAGES} are wanted")
    value = record.metrics["knn"]
    assert value is not None
    return value


def report(rows: list[dict[str, float]]) -> bool:
    """Print the pairs, their mean difference and its standard error; whether the precisions agree."""
    gaps = [row["bf16"] - row["fp32"] for row in rows]
    mean, error = statistics.mean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5
    agree = abs(mean) < max(POINT, 2 * error)
    print(json.dumps({"knn": rows, "bf16 - fp32": round(mean, 3), "standard error": round(error, 3), "agree": agree}, indent=1))
    return agree


if __name__ == "__main__":
    main()
