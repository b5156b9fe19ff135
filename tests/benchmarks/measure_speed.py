#!/usr/bin/env python3
"""Time the pass of `bench measure` beside the plain forward pass of the same network on as many view images, as JSON.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/measure_speed.py [--repeats 5] [--skip-memory]

The pass reads and decodes JPEGs, cuts, augments, forwards and sums; the forward pass has its images ready, in batches of
the same shapes. The two alternate, and ratios are medians over the pairs, of wall time and of the process's CPU time. What
comes once, however many images there are (the proof before, the effective rank after), is left out, and printed as
`once_seconds`. Memory is the largest resident size of a process of its own for N and for 4 N images. Exits with 1 if the pass
has less than 0.8 of the forward pass's rate, or needs a tenth more memory for four times the images.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gauges import Clock
from PIL import Image

from bench.runs.environment import peak_memory_mib
from pretrain.core.journal import Journal
from pretrain.images import imageset as image_sets
from pretrain.images.imageset import ImageSet
from transfer import sources
from transfer.representation import measure
from transfer.representation.features import extractor

WANTED, GROWTH = 0.8, 1.1
SEED = 0


class Case(NamedTuple):
    """One network on one size of views."""

    arch: str
    size: int
    """Side of a view, in pixels."""
    side: tuple[int, int]
    """Height and width of the JPEGs: those of Tiny ImageNet, and the average of ImageNet."""
    batch: int
    batches: int


CASES = (Case("resnet18", 64, (64, 64), 16, 9), Case("resnet50", 128, (375, 500), 8, 4))
MEMORY = Case("resnet18", 32, (64, 64), 64, measure.MOST_COMPARED // 64)
"""From as many images on as are kept, nothing is meant to grow."""
FEW_VIEWS = 2
"""Of each image where memory is measured."""


def lay(folder: Path, side: tuple[int, int], count: int) -> ImageSet:
    """JPEGs with a photograph's share of detail: coarse colours and some noise."""
    draw = np.random.default_rng(SEED)
    for number in range(count):
        coarse = Image.fromarray(draw.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize(
            side[::-1], Image.Resampling.BICUBIC
        )
        noisy = np.asarray(coarse, dtype=np.float32) + draw.normal(scale=8, size=(*side, 3))
        file = folder / "val" / str(number % 2) / f"{number:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, quality=90)
    return image_sets.read(folder, "val")


def measured(case: Case, images: ImageSet, views: int) -> tuple[Clock, float]:
    """From the end of the first batch to the end of the last, and the seconds of everything else."""
    stamps: list[Clock] = []
    settings = measure.MeasureSettings(size=case.size, batch=case.batch, views=views, images=len(images))
    began = Clock.now()
    journal = Journal(progress=lambda *_, **__: stamps.append(Clock.now()))
    measure.measure(sources.load(f"random:{case.arch}"), images, settings, journal, seed=SEED, device="cpu")
    took = stamps[-1].since(stamps[0])
    return took, Clock.now().since(began).wall - took.wall


def forwarded(case: Case, model: torch.nn.Module, views: int) -> Clock:
    """The same number of batches, one fewer than there are, through the network alone."""
    shape = (3, case.size, case.size)
    anchors = torch.randn(case.batch, *shape).to(memory_format=torch.channels_last)
    others = torch.randn(case.batch * views, *shape).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        model(anchors)
        model(others)
        began = Clock.now()
        for _ in range(case.batches - 1):
            model(anchors)
            model(others)
        return Clock.now().since(began)


def speed(case: Case, repeats: int, folder: Path) -> dict[str, object]:
    """Ratios of rates, the pass's over the forward pass's: medians over pairs."""
    views = measure.MeasureSettings().views
    images = lay(folder, case.side, case.batch * case.batches)
    model, _ = extractor(sources.load(f"random:{case.arch}"), "cpu")
    pairs = []
    for _ in range(repeats):
        took, once = measured(case, images, views)
        pairs.append((took, forwarded(case, model, views), once))
    of_pass = (case.batches - 1) * case.batch * (views + 1)
    line: dict[str, object] = {"what": f"{case.arch} at {case.size} px", "jpegs": case.side, "repeats": repeats}
    for clock in Clock._fields:
        ours, plain = ([getattr(pair[at], clock) for pair in pairs] for at in (0, 1))
        line[f"{clock}_ratio"] = round(statistics.median(b / a for a, b in zip(ours, plain, strict=True)), 3)
        line[f"{clock}_views_per_second"] = round(of_pass / statistics.median(ours), 1)
    return line | {"once_seconds": round(statistics.median(pair[2] for pair in pairs), 2), "wanted": WANTED}


def memory(folder: Path, times: int) -> float:
    """MiB, in a process of its own."""
    command = [sys.executable, __file__, "--peak", str(folder), "--times", str(times)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(folder: Path, times: int) -> float:
    """MiB of this process for `times` N images, some of them the same files."""
    images = image_sets.read(folder, "val")
    wanted = MEMORY.batch * MEMORY.batches * times
    part = images.part([number % len(images) for number in range(wanted)])
    measured(MEMORY, part, FEW_VIEWS)
    return peak_memory_mib()


def main() -> None:
    """Parse, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak(options.peak, options.times))
        return
    good = True
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            line = speed(case, options.repeats, Path(folder))
        print(json.dumps(line), flush=True)
        good &= float(str(line["cpu_ratio"])) >= WANTED
    if not options.skip_memory:
        with tempfile.TemporaryDirectory() as folder:
            lay(Path(folder), MEMORY.side, 64)
            few, many = (memory(Path(folder), times) for times in (1, 4))
        images = MEMORY.batch * MEMORY.batches
        print(json.dumps({"what": "peak MiB", str(images): few, str(4 * images): many}))
        good &= many < GROWTH * few
    sys.exit(not good)


if __name__ == "__main__":
    main()
