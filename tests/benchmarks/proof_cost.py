"""What reading, converting and proving a ResNet-50 costs each engine at the start of a transfer; prints JSON.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/proof_cost.py [--only mmseg] [--repeat 3]

Each engine runs as in a transfer, without training, on a ResNet-50 file of torchvision's; the functions that read, convert
and prove are timed where they are called. Medians of wall and of CPU seconds. Exits with 1 where conversion and proof
together take 5 s of CPU time or more.
"""

import argparse
import importlib
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

WANTED = 5.0
ARCH = "resnet50"
SMALL: dict[str, Any] = {"iters": 0, "precise_bn": 0, "max_val_images": 1, "num_workers": 0}
DETECTION: dict[str, Any] = {**SMALL, "min_sizes": [96], "test_size": 96, "rois": 4, "roi_resolution": 4, "post_nms_test": 10}
SEGMENTATION: dict[str, Any] = {**SMALL, "crop": 96, "short_side": 96}

PARTS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "torchvision": (
        "coco-c4",
        DETECTION,
        {"torchvision.c4:C4.load_backbone": "convert", "torchvision.engine:Torchvision.prove": "prove"},
    ),
    "detectron2": (
        "coco-c4",
        DETECTION,
        {
            "detectron2.engine:to_detectron2": "convert",
            "detectron2.engine:save_atomically": "convert",
            "detectron2.engine:proven": "prove",
        },
    ),
    "mmseg": (
        "cityscapes",
        SEGMENTATION,
        {"mmseg.engine:to_mmseg": "convert", "mmseg.engine:save_atomically": "convert", "mmseg.engine:proven": "prove"},
    ),
}
"""Engine → a task, settings, and its functions below `transfer.engines` by what they do."""


class Clock:
    """Wall and CPU seconds spent in each part."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts for a part."""

        def call(*args: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            result = function(*args, **named)
            took = self.spent.setdefault(part, [0.0, 0.0])
            took[0] += time.perf_counter() - wall
            took[1] += time.process_time() - cpu
            return result

        return call


def once(engine: str, checkpoint: Path, data: Path, folder: Path) -> dict[str, list[float]]:
    """(wall, CPU) seconds of each part of one run."""
    from bench.options import Place
    from bench.verbs import transfer
    from transfer import sources

    task, settings, functions = PARTS[engine]
    clock = Clock()
    with mock.patch.object(sources, "load", clock.timed("read", sources.load)):
        for place, part in functions.items():
            module, _, name = place.partition(":")
            owner: Any = importlib.import_module(f"transfer.engines.{module}")
            *outer, name = name.split(".")
            for each in outer:
                owner = getattr(owner, each)
            mock.patch.object(owner, name, clock.timed(part, getattr(owner, name))).start()
        try:
            asked = transfer.Transfer(task=task, checkpoint=str(checkpoint), engine=engine, options=settings)
            transfer.run(asked, Place(data=str(data), out=folder, device="cpu"), lambda *_: None)
        finally:
            mock.patch.stopall()
    return clock.spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(PARTS), action="append")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    import torch
    import torchvision

    from transfer.shapes import generate

    torch.set_num_threads(1)
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        root = generate.generate(Path(folder) / "shapes", train=12, val=4, size=96)
        checkpoint = Path(folder) / "resnet50.pth"
        torch.save(getattr(torchvision.models, ARCH)().state_dict(), checkpoint)
        for engine in options.only or PARTS:
            if not importlib.util.find_spec(engine):
                print(json.dumps({"engine": engine, "skipped": "not installed"}), flush=True)
                continue
            data = root / ("cityscapes" if PARTS[engine][0] == "cityscapes" else "coco")
            runs = [once(engine, checkpoint, data, Path(folder) / f"{engine}-{number}") for number in range(options.repeat)]
            found: dict[str, Any] = {"engine": engine, "arch": ARCH, "wanted": WANTED}
            for place, clock in enumerate(("wall", "cpu")):
                for part in ("read", "convert", "prove"):
                    found[f"{part}_{clock}_s"] = round(statistics.median(run[part][place] for run in runs), 3)
                both = statistics.median(run["convert"][place] + run["prove"][place] for run in runs)
                found[f"convert_and_prove_{clock}_s"] = round(both, 3)
            print(json.dumps(found), flush=True)
            missed |= found["convert_and_prove_cpu_s"] >= WANTED
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
