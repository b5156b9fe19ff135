"""`bench demo`: run end to end on generated data. Two pre-trainings and a random baseline, every task, one leaderboard."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from bench import places, report
from bench.options import SETUP, Place
from bench.progress import Display
from bench.runs.environment import peak_memory_mib
from bench.verbs import Finished, measure, pretrain, transfer
from bench.verbs.measure import Measure
from bench.verbs.transfer import Transfer
from pretrain.core.journal import Journal, Progress

T = TypeVar("T")

AUGS = ("none", "cutmix")
TASKS = ("linear", "knn", "voc0712", "coco-c4", "cityscapes")
PLACE = Place(data=places.GENERATED, device="cpu")
_WEIGHTS = {"shapes": 30.0, "pretrain": 75.0, "measure": 6.0, "linear": 20.0, "knn": 6.0}
"""Rough seconds of each part on two cores: only for the time left."""
_FINE_TUNING = 26.0


@dataclass
class Tally:
    """The parts done so far, and what they took."""

    display: Display
    folders: list[Path] = field(default_factory=list)
    reused: int = 0
    peak_mib: float = 0.0

    def part(self, title: str, weight: float, work: Callable[[], T]) -> T:
        """Do one part, as the display's next."""
        self.display.part(title, weight)
        done = work()
        self.peak_mib = max(self.peak_mib, peak_memory_mib())
        return done

    def run(self, title: str, weight: float, work: Callable[[], Finished]) -> Finished:
        """Do one part that is a run."""
        done = self.part(title, weight, work)
        self.folders.append(done.folder)
        self.reused += done.reused
        return done


def run(seed: int, out: Path) -> None:
    """Run what is not done yet, print the leaderboard, write it into `out`, and say what it cost."""
    began = time.monotonic()
    total = _weight("shapes") + len(AUGS) * _weight("pretrain") + (len(AUGS) + 1) * sum(map(_weight, ("measure", *TASKS)))
    with Display(overall=("demo", total)) as display:
        tally = Tally(display)
        tally.part("generating shapes", _weight("shapes"), partial(places.generated, Journal(progress=display.hook)))
        arch = places.read_config("pretrain", places.GENERATED)["arch"]
        checkpoints = {"random": f"random:{arch}:{seed}"}
        for aug in AUGS:
            done = tally.run(f"pretrain {aug}", _weight("pretrain"), partial(_pretrain, aug, seed, display.hook))
            checkpoints[aug] = str(done.backbone)
        for name, checkpoint in checkpoints.items():
            for task in ("measure", *TASKS):
                tally.run(f"{task} of {name}", _weight(task), partial(_evaluate, task, checkpoint, display.hook))
    console = Console()
    written = ", ".join(map(str, report.report(tally.folders, out, console).written))
    console.print(f"\n{len(tally.folders)} runs in runs/, {tally.reused} of them reused; the table is in {written}")
    seconds, gib = time.monotonic() - began, tally.peak_mib / 1024
    console.print(f"demo: {seconds:.0f} wall seconds, peak memory {gib:.2f} GiB")


def _weight(part: str) -> float:
    return _WEIGHTS.get(part, _FINE_TUNING)


def _pretrain(aug: str, seed: int, progress: Progress) -> Finished:
    command = f"bench pretrain --aug {aug} --seed {seed} --data {places.GENERATED}"
    return pretrain.run({"aug": aug, "seed": seed}, SETUP, PLACE, progress, command)


def _evaluate(task: str, checkpoint: str, progress: Progress) -> Finished:
    tail = f"--ckpt {checkpoint} --data {places.GENERATED}"
    if task == "measure":
        return measure.run(Measure(), checkpoint, PLACE, progress, f"bench measure {tail}")
    asked = Transfer(task=task, checkpoint=checkpoint)
    return transfer.run(asked, PLACE, progress, f"bench transfer --task {task} {tail}")
