"""What `bench transfer` adds to an engine's own training loop, and the torchvision engine beside Detectron2; prints JSON.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/transfer_overhead.py [--only overhead-torchvision] [--iterations 200]

The bare engine is what the run's native configuration says, without us: for torchvision the same model, loader and optimiser
in a plain loop (`bare_engines.py`); Detectron2's DefaultTrainer with its own writers; mmengine's Runner. Both of a pair are
processes that work by turns of a few iterations, first one, then the other, so that a busy machine slows both alike; a turn
ends where the next iteration begins, so that it holds all that is written in between. Ratios are medians over the pairs of
turns, of wall time and of the processes' CPU time. Proof, conversion, pictures and evaluation lie outside; images are small,
which makes an iteration cheap and what is added to it dear. Exits with 1 where a CPU ratio is above what is wanted.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

OVERHEAD, BESIDE = 1.03, 1.0
"""Largest ratios wanted: of ours to the bare engine, and of the torchvision engine to Detectron2."""
WARMUP, TURN = 5, 10
"""Iterations before the first turn, and in each."""
ARCH = "resnet18"

DETECTION: dict[str, Any] = {
    "batch": 2,
    "min_sizes": [96],
    "test_size": 96,
    "rois": 16,
    "roi_resolution": 4,
    "rpn_batch": 64,
    "pre_nms_train": 300,
    "post_nms_train": 60,
}
SEGMENTATION: dict[str, Any] = {"batch": 2, "crop": 96, "short_side": 96}
ALWAYS: dict[str, Any] = {"iters": 1_000_000, "num_workers": 0}
"""The processes are ended once the turns are over."""
SETTINGS = {"coco-c4": DETECTION, "coco-fpn": DETECTION, "cityscapes": SEGMENTATION}


class Pair(NamedTuple):
    """Two contestants on one task, and the largest ratio of the first to the second."""

    task: str
    first: tuple[str, str]
    """`ours` or `bare`, and the engine."""
    second: tuple[str, str]
    wanted: float


PAIRS = {
    "overhead-torchvision": Pair("coco-c4", ("ours", "torchvision"), ("bare", "torchvision"), OVERHEAD),
    "overhead-detectron2": Pair("coco-c4", ("ours", "detectron2"), ("bare", "detectron2"), OVERHEAD),
    "overhead-mmseg": Pair("cityscapes", ("ours", "mmseg"), ("bare", "mmseg"), OVERHEAD),
    "engines-c4": Pair("coco-c4", ("ours", "torchvision"), ("ours", "detectron2"), BESIDE),
    "engines-fpn": Pair("coco-fpn", ("ours", "torchvision"), ("ours", "detectron2"), BESIDE),
}


class Baton:
    """A process works while it holds it; after each turn it says what the turn took, and waits."""

    def __init__(self, report: int) -> None:
        self._report = report
        self._wall = self._cpu = 0.0

    def step(self, done: int) -> None:
        """After iteration `done`, counted from 1."""
        if done < WARMUP or (done - WARMUP) % TURN:
            return
        took = {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}
        os.write(self._report, (json.dumps(took) + "\n").encode())
        if not sys.stdin.readline():
            os._exit(1)  # who handed out the turns is gone
        self._wall, self._cpu = time.perf_counter(), time.process_time()


class Player:
    """A contestant's process, seen from the one that hands out turns."""

    def __init__(self, words: list[str], log: Path) -> None:
        mine, theirs = os.pipe()
        command = [sys.executable, __file__, "--report", str(theirs), *words]
        self._log = log
        with log.open("w") as said:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=said, stderr=said, pass_fds=[theirs], text=True
            )
        os.close(theirs)
        self._reports = os.fdopen(mine)

    def __enter__(self) -> Self:
        self._read()  # warmed up
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reports.close()

    def turn(self) -> dict[str, float]:
        """Seconds of one turn."""
        assert self._process.stdin is not None, "asked for above"
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, float]:
        line = self._reports.readline()
        if not line:
            raise SystemExit(f"a contestant ended:\n{self._log.read_text()[-3000:]}")
        took: dict[str, float] = json.loads(line)
        return took


def compare(name: str, turns: int, folder: Path) -> dict[str, Any]:
    """Both contestants by turns; the second one starts when the first one has written its native configuration."""
    pair, work = PAIRS[name], folder / name
    work.mkdir()
    shared = ["--task", pair.task, "--data", str(folder / "shapes"), "--work", str(work)]
    taken: list[list[dict[str, float]]] = []
    with (
        Player([*shared, "--play", *pair.first], work / "first.log") as first,
        Player([*shared, "--play", *pair.second], work / "second.log") as second,
    ):
        for number in range(turns):
            if number % 2:
                taken.append([each.turn() for each in (second, first)][::-1])
            else:
                taken.append([each.turn() for each in (first, second)])
    found: dict[str, Any] = {"pair": name, "task": pair.task, "iterations": turns * TURN, "wanted": pair.wanted}
    for clock in ("cpu", "wall"):
        ours, theirs = ([each[place][clock] for each in taken] for place in (0, 1))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        found[f"{clock}_ratio"] = round(statistics.median(ratios), 4)
        found[f"{clock}_ratio_of_sums"] = round(sum(ours) / sum(theirs), 4)
        found[f"{clock}_ms"] = [round(1000 * statistics.median(each) / TURN, 1) for each in (ours, theirs)]
    return found


def ours(task: str, engine: str, data: Path, work: Path, baton: Baton) -> None:
    """`bench transfer`, with the progress that a person sees."""
    from bench.options import Place
    from bench.progress import Display
    from bench.verbs import transfer

    with Display() as display:

        def progress(stage: str, done: int, total: int, values: dict[str, float]) -> None:
            display.hook(stage, done, total, values)
            if stage == "train" and total:
                baton.step(done)

        changes = SETTINGS[task] | ALWAYS
        asked = transfer.Transfer(task=task, checkpoint=f"random:{ARCH}", engine=engine, options=changes)
        transfer.run(asked, Place(data=str(data), out=work / f"ours-{engine}", device="cpu"), progress)


def play(options: argparse.Namespace) -> None:
    """One contestant, in a process of its own."""
    import torch

    torch.set_num_threads(1)
    who, engine = options.play
    data = options.data / ("cityscapes" if options.task == "cityscapes" else "coco")
    baton = Baton(options.report)
    if who == "ours":
        ours(options.task, engine, data, options.work, baton)
        return
    sys.path.insert(0, str(Path(__file__).parent))
    import bare_engines

    bare_engines.BARE[engine](data, options.work / f"ours-{engine}", ARCH, baton.step)


def runnable(name: str) -> bool:
    """Whether the engines of a pair are here."""
    engines = {PAIRS[name].first[1], PAIRS[name].second[1]}
    return all(importlib.util.find_spec(engine) for engine in engines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(PAIRS), action="append")
    parser.add_argument("--iterations", type=int, default=200)
    for hidden in ("--task", "--report", "--data", "--work"):
        kind = {"--task": str, "--report": int}.get(hidden, Path)
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--play", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        return play(options)
    from transfer.shapes import generate

    missed = False
    with tempfile.TemporaryDirectory() as folder:
        generate.generate(Path(folder) / "shapes", train=60, val=8, size=96)
        for name in options.only or PAIRS:
            if not runnable(name):
                print(json.dumps({"pair": name, "skipped": "an engine of it is not installed"}), flush=True)
                continue
            found = compare(name, -(-options.iterations // TURN), Path(folder))
            print(json.dumps(found), flush=True)
            missed |= found["cpu_ratio"] > found["wanted"]
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
