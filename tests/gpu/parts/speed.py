"""Images a second of pre-training from JPEG files, beside the published loop, the step alone, and the bare step.

By the same code as `tests/benchmarks/pretrain_speed.py`, which see. All take turns in one process. `PUBLISHED_LOOP` may name a
command that times the published loop, as that script's `--published`; without it, its ratio is left out.
"""

import contextlib
import json
import os
import runpy
import shlex
import statistics
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from parts import ROOT, Check, finish
from parts.syncs import profile
from pretrain.config import PretrainConfig
from pretrain.core.devices import precision_of
from pretrain.images.imageset import read
from pretrain.train import batches_of
from pretrain.trainer import Trainer

BENCH = runpy.run_path(str(ROOT / "tests/benchmarks/pretrain_speed.py"))
OVER_BARE, OVER_PUBLISHED = 0.9, 4.0
REPEATS = 2


def check(check: Check) -> None:
    """Rates, ratios, the loader alone, the share of time that is spent waiting for it."""
    setting = BENCH["Setting"]("resnet50", 224, 256, 256, 40) if check.gpu else BENCH["Setting"]("resnet18", 32, 16, 48, 4)
    workers = min(12, max(1, len(os.sched_getaffinity(0)) - 2))
    pictures(check.folder / "train", setting.jpeg, 8 * setting.batch if check.gpu else 4 * setting.batch)
    check.values["sm_clock"] = [_clock()]
    runs = {name: _trainer(check, setting, workers) for name in ("ours", "step", "bare")}
    if check.gpu:
        runs["compiled"] = _trainer(check, setting, workers, compile=True)
        runs["fused"] = _trainer(check, setting, workers, compile=True, fused_views=True)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            rates[name].append(_rate(check, name, run, setting))
    rates["loader_alone"] = [_loader_alone(check, runs["ours"], setting)]
    rates |= _published(check, setting, workers)
    median = {name: round(statistics.median(found), 1) for name, found in rates.items()}
    check.values |= {"img_s": median, "repeats": rates, "workers": workers, "setting": vars(setting)}
    check.values["ratio_bare"] = round(median["ours"] / median["bare"], 3)
    check.values["wait_share"] = _waits(check, runs["ours"], setting)
    check.values["sm_clock"].append(_clock())
    if "published" in median:
        check.values["ratio_published"] = round(median["ours"] / median["published"], 3)
    if check.gpu:
        work = BENCH["ours"](runs["ours"], check.folder, 8)
        for _ in range(3):
            next(work)
        check.values |= profile(lambda step: next(work), check)
        check.values["peak_gpu_mib"] = round(torch.cuda.max_memory_allocated(check.device) / 2**20)
        check.require(check.values["ratio_bare"] >= OVER_BARE, f"{check.values['ratio_bare']} of the bare step")
        ratio = check.values.get("ratio_published", OVER_PUBLISHED)
        check.require(ratio >= OVER_PUBLISHED, f"{ratio} times the published loop")


def _trainer(check: Check, setting: Any, workers: int, **more: Any) -> Trainer:
    fields = {"arch": setting.arch, "size": setting.size, "batch": setting.batch, "epochs": 10_000, "num_workers": workers}
    queue = 4096 if check.gpu else 64
    config = PretrainConfig.read({**fields, "queue": queue, "precision": precision_of(check.device), **more})
    return Trainer(config, 10_000 * setting.batch, 2, check.device)


def _rate(check: Check, name: str, run: Trainer, setting: Any) -> float:
    work = BENCH["CONTESTANTS"][name if name in BENCH["CONTESTANTS"] else "ours"](run, check.folder, setting.steps)
    for _ in range(BENCH["WARMUP"]):
        next(work)
    began = finish(check.device)
    for _ in range(setting.steps):
        next(work)
    return round(setting.steps * setting.batch / (finish(check.device) - began), 1)


def _loader_alone(check: Check, run: Trainer, setting: Any) -> float:
    images = read(check.folder, "train")
    found = batches_of(run, images, images.labels)
    next(found)
    began = time.perf_counter()
    for _ in islice(found, setting.steps):
        pass
    return round(setting.steps * setting.batch / (time.perf_counter() - began), 1)


def _waits(check: Check, run: Trainer, setting: Any) -> float:
    """Share of the time that the loop waits for the loader."""
    images, waited = read(check.folder, "train"), 0.0
    found = batches_of(run, images, images.labels)
    next(found)
    began = finish(check.device)
    for step in range(setting.steps):
        asked = time.perf_counter()
        views, labels, *_ = next(found)
        waited += time.perf_counter() - asked
        run.step(step, views, labels)
    return round(waited / (finish(check.device) - began), 3)


def pictures(target: Path, side: int, count: int) -> None:
    """Write JPEGs in several processes: blobs of noise at several scales, about as large in bytes as photographs."""
    with ProcessPoolExecutor(min(12, os.cpu_count() or 1)) as pool:
        list(pool.map(_picture, [target] * count, [side] * count, range(count), chunksize=16))


def _picture(target: Path, side: int, number: int) -> None:
    import numpy as np
    from PIL import Image

    rng, total = np.random.default_rng(number), np.zeros((side, side, 3))
    for cells in (4, 16, 64):
        small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)) / cells**0.5
    folder = target / "ab"[number % 2]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray((total / total.max() * 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def _published(check: Check, setting: Any, workers: int) -> dict[str, list[float]]:
    if not os.environ.get("PUBLISHED_LOOP"):
        return {}
    words = [f"--images={check.folder}/train", f"--arch={setting.arch}", f"--size={setting.size}", f"--batch={setting.batch}"]
    words += [f"--steps={setting.steps}", f"--queue={4096 if check.gpu else 64}", f"--workers={workers}"]
    command = [*shlex.split(os.environ["PUBLISHED_LOOP"]), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    if done.returncode:
        check.require(False, f"the published loop: {done.stderr[-300:]}")
        return {}
    return {"published": [float(json.loads(done.stdout.splitlines()[-1])["images_per_s"])]}


def _clock() -> str:
    with contextlib.suppress(OSError):
        asked = ["nvidia-smi", "--query-gpu=clocks.sm", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return ""
