"""`bench demo`: the whole road on generated data. Two pre-trainings and a random baseline, every task, one leaderboard."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import places, report, runs
from bench.progress import Display
from bench.verbs import Finished, Request
from bench.verbs import measure as measuring
from bench.verbs import pretrain as pretraining
from bench.verbs import transfer as transferring
from pretrain.core.journal import Journal

AUGS = ("none", "cutmix")
TASKS = ("linear", "knn", "voc0712", "coco-c4", "cityscapes")
_WEIGHTS = {"shapes": 30.0, "pretrain": 75.0, "measure": 6.0, "linear": 20.0, "knn": 6.0}
"""Rough seconds of each part on two cores: only for the time left."""
_FINE_TUNING = 26.0


def run(seed: int, out: Path) -> None:
    """Run what is not done yet, print the leaderboard, write it into `out`, and say what it cost."""
    clock, peak = runs.Clock(), [0.0]
    arch = str(places.read_config("pretrain", places.GENERATED)["arch"])
    total = _weight("shapes") + len(AUGS) * _weight("pretrain") + (len(AUGS) + 1) * sum(map(_weight, ("measure", *TASKS)))
    folders, reused = [], 0
    with Display(overall=("demo", total)) as display:

        def do(title: str, weight: float, work: Callable[[], Any]) -> Any:
            display.part(title, weight)
            done = work()
            peak[0] = max(peak[0], runs.peak_memory_mib())
            return done

        request = Request(display.hook, data=places.GENERATED, device="cpu")
        do("generating shapes", _weight("shapes"), partial(places.generated, Journal(progress=display.hook)))
        checkpoints = {"random": f"random:{arch}:{seed}"}
        for aug in AUGS:
            command = f"bench pretrain --aug {aug} --seed {seed} --data {places.GENERATED}"
            asked = replace(request, command=command)
            done = do(f"pretrain {aug}", _weight("pretrain"), partial(pretraining.run, asked, {"aug": aug, "seed": seed}))
            checkpoints[aug] = str(done.folder / "backbone.pth")
            folders.append(done.folder)
            reused += done.reused
        for name, checkpoint in checkpoints.items():
            for task in ("measure", *TASKS):
                done = do(f"{task} of {name}", _weight(task), partial(_evaluate, request, task, checkpoint))
                folders.append(done.folder)
                reused += done.reused
    console = Console()
    report.report(folders, out, console)
    console.print(
        f"\n{len(folders)} runs in runs/, {reused} of them reused; the table is in {out / 'leaderboard.html'} (.md, .csv, .tex)"
    )
    console.print(f"demo: {clock.seconds():.0f} wall seconds, peak memory {peak[0] / 1024:.2f} GiB")


def _weight(part: str) -> float:
    return _WEIGHTS.get(part, _FINE_TUNING)


def _evaluate(request: Request, task: str, checkpoint: str) -> Finished:
    tail = f"--ckpt {checkpoint} --data {places.GENERATED}"
    if task == "measure":
        return measuring.run(replace(request, command=f"bench measure {tail}"), checkpoint, {})
    asked = replace(request, command=f"bench transfer --task {task} {tail}")
    return transferring.run(asked, task, checkpoint, shortcuts={}, options={})
