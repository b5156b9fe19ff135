#!/usr/bin/env python3
"""Print by how much backbones pre-trained on the generated data beat the random one.

    learning_margins.py [--seeds 3] [--out FOLDER]     two augmentations: linear top-1 over the random backbone,
                                                       and fine-tuned detectors and segmenters over untrained ones
    learning_margins.py --long [--out FOLDER]          self-supervised MoCo v2 (shapes-long): kNN top-1 over the random backbone

Runs go below FOLDER/runs; what is done there is reused. Prints one JSON line for each margin, and exits with 1 if one
is too small: below 10 points, or not above the untrained model.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from bench.options import Place, Setup
from bench.progress import Display
from bench.verbs import pretrain as pretraining
from bench.verbs import transfer as transferring
from bench.verbs.transfer import Transfer

WANTED = 10.0
AUGS = ("none", "cutmix")
ARCH = "resnet18"


METRICS = {"linear": "top1", "knn": "knn", "voc0712": "AP50", "coco-c4": "AP50_box", "cityscapes": "mIoU"}
FINE_TUNED = ("voc0712", "coco-c4", "cityscapes")


def score(display: Display, task: str, checkpoint: str, iters: int | None = None) -> float:
    """A task's metric for a checkpoint on the generated data; `iters` 0 leaves the model untrained."""
    asked = Transfer(task=task, checkpoint=checkpoint, adjustments={"iters": iters})
    done = transferring.run(asked, Place(data="shapes"), display.hook)
    value = done.record.metrics[METRICS[task]]
    if value is None:
        raise SystemExit(f"{done.folder} has no number")
    return value


def trained(display: Display, options: dict[str, object], config: str | None = None) -> tuple[str, float]:
    """A pre-trained checkpoint and the seconds it took."""
    done = pretraining.run(options, Setup(config=config), Place(data="shapes"), display.hook)
    return str(done.folder / "backbone.pth"), done.record.wall_seconds


def margin(name: str, ours: list[float], others: list[float], wanted: float, **more: object) -> bool:
    """Print one margin of means; whether it is at least what is wanted, and above 0."""
    gap = statistics.mean(ours) - statistics.mean(others)
    line = {"what": name, "trained": ours, "compared": others, "margin": round(gap, 2), "wanted": wanted, **more}
    print(json.dumps(line), flush=True)
    return gap > 0 and gap >= wanted


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
            name = "self-supervised mocov2, kNN top-1 over the random backbone"
            sys.exit(not margin(name, [ours], [random], WANTED, pretrain_seconds=[seconds]))
        seeds = range(options.seeds)
        random_scores = [score(display, "linear", f"random:{ARCH}:{seed}") for seed in seeds]
        wide = []
        for aug in AUGS:
            made = [trained(display, {"aug": aug, "seed": seed}) for seed in seeds]
            ours_all = [score(display, "linear", checkpoint) for checkpoint, _ in made]
            name, spent = f"{aug}, linear top-1 over the random backbone", [seconds for _, seconds in made]
            wide.append(margin(name, ours_all, random_scores, WANTED, pretrain_seconds=spent))
            for task in FINE_TUNED:
                checkpoint, name = made[0][0], f"{aug}, {task} {METRICS[task]} over the untrained model"
                fine_tuned, untrained = score(display, task, checkpoint), score(display, task, checkpoint, iters=0)
                wide.append(margin(name, [fine_tuned], [untrained], 0))
    sys.exit(not all(wide))


if __name__ == "__main__":
    main()
