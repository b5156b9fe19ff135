#!/usr/bin/env python3
"""Print by how much backbones pre-trained on the generated data beat the random one.

    learning_margins.py [--seeds 3] [--out FOLDER]     the demo's two augmentations: linear top-1 over the random backbone
    learning_margins.py --long [--out FOLDER]          self-supervised MoCo v2 (shapes-long): kNN top-1 over the random backbone

Runs go below FOLDER/runs; what is done there is reused. Prints one JSON line for each margin, and exits with 1 if one
is below 10.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from bench.demo import AUGS
from bench.progress import Display
from bench.verbs import Request
from bench.verbs import pretrain as pretraining
from bench.verbs import transfer as transferring

WANTED = 10.0
ARCH = "resnet18"


def score(display: Display, task: str, checkpoint: str) -> float:
    """Top-1, linear or nearest neighbours, of a checkpoint on the generated data."""
    done = transferring.run(Request(display.hook, data="shapes"), task, checkpoint, shortcuts={}, options={})
    value = done.record.metrics["knn" if task == "knn" else "top1"]
    if value is None:
        raise SystemExit(f"{done.folder} has no number")
    return value


def trained(display: Display, options: dict[str, object], config: str | None = None) -> tuple[str, float]:
    """A pre-trained checkpoint and the seconds it took."""
    done = pretraining.run(Request(display.hook, data="shapes", config=config), options)
    return str(done.folder / "backbone.pth"), done.record.wall_seconds


def margin(name: str, ours: list[float], random: list[float], seconds: list[float]) -> bool:
    """Print one margin; whether it is wide enough."""
    gap = statistics.mean(ours) - statistics.mean(random)
    line = {
        "what": name,
        "trained": ours,
        "random": random,
        "margin": round(gap, 2),
        "wanted": WANTED,
        "pretrain_seconds": seconds,
    }
    print(json.dumps(line), flush=True)
    return gap >= WANTED


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.chdir(options.out)
    with Display() as display:
        if options.long:
            checkpoint, seconds = trained(display, {}, "shapes-long")
            ours, random = score(display, "knn", checkpoint), score(display, "knn", f"random:{ARCH}:0")
            sys.exit(not margin("mocov2 self-supervised, kNN top-1", [ours], [random], [seconds]))
        seeds = range(options.seeds)
        random_scores = [score(display, "linear", f"random:{ARCH}:{seed}") for seed in seeds]
        wide = []
        for aug in AUGS:
            made = [trained(display, {"aug": aug, "seed": seed}) for seed in seeds]
            ours_all = [score(display, "linear", checkpoint) for checkpoint, _ in made]
            wide.append(margin(f"{aug}, linear top-1", ours_all, random_scores, [seconds for _, seconds in made]))
    sys.exit(not all(wide))


if __name__ == "__main__":
    main()
