"""Detectors see the same on both devices, and a short run of every kind of task ends with its numbers."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from parts import Check, farthest, shapes
from transfer import engines, sources, tasks
from transfer.datasets import coco
from transfer.engines.torchvision.c4 import C4
from transfer.engines.torchvision.data import ORDER, SAMPLING, batches, loader, torch_random
from transfer.engines.torchvision.fpn import FPN
from transfer.tasks.detection import DetectionSettings

TINY = {"batch": 2, "warmup": 2, "steps": [], "min_sizes": [96], "test_size": 96, "rois": 32, "num_workers": 0, "lr": 0.005}
SEGMENTATION = {"crop": 64, "batch": 2, "num_workers": 0}
RUNS = {"coco-c4": TINY, "coco-fpn": TINY, "cityscapes": SEGMENTATION, "cityscapes-deeplabv3": SEGMENTATION}
BOXES, SCORES = 0.05, 1e-3
"""Pixels, and in parts of 1."""


def check(check: Check) -> None:
    """Losses and detections of one batch, then a run of each task by each engine that is here."""
    root = shapes(check.folder)
    for task, family in (("coco-c4", C4), ("coco-fpn", FPN)):
        _detector(check, task, family, root / "coco")
    for task, engine in _runs():
        _run(check, task, engine, root / {"coco": "coco", "city": "cityscapes"}[task[:4]])


def _runs() -> Iterator[tuple[str, str]]:
    for task in RUNS:
        yield from ((task, engine) for engine in tasks.get(task).engines if engines.missing(engine) is None)


def _detector(check: Check, task: str, family: type[C4 | FPN], root: Path) -> None:
    settings, data = tasks.get(task).settings.replace(TINY), coco.read(root)
    assert isinstance(settings, DetectionSettings)
    backbone = sources.load("random:resnet18")
    torch.manual_seed(0)
    own = family(backbone.arch, len(data.classes), settings, backbone.recipe)
    own.load_backbone(backbone.state)
    other = copy.deepcopy(own).to(check.device)
    order = batches(data.train, settings.batch, 0, ORDER)
    batch = next(iter(loader(data.train, settings, (list(each) for each in order), 0)))
    losses = []
    for model in (own, other):
        model.train()
        found = model.losses([sample.to(model.device) for sample in batch], torch_random(0, SAMPLING, 0))
        losses.append(torch.stack([found[name] for name in sorted(found)]).detach().cpu())
    check.close(f"{task}: losses", max(farthest(b[None], a[None]) for a, b in zip(*losses, strict=True)), 1e-4)
    with torch.inference_mode():
        images = [sample.image for sample in batch]
        seen = [model.eval().detect([image.to(model.device) for image in images]) for model in (own, other)]
    for mine, its in zip(*seen, strict=True):
        check.require(len(mine.scores) == len(its.scores), f"{task}: another number of detections")
        if len(mine.scores) == len(its.scores) and len(mine.scores):
            check.close(f"{task}: boxes, px", float((its.boxes.cpu() - mine.boxes.cpu()).abs().max()), BOXES)
            check.close(f"{task}: scores", float((its.scores.cpu() - mine.scores.cpu()).abs().max()), SCORES)


def _run(check: Check, task: str, engine: str, root: Path) -> None:
    out = check.folder / f"{task}-{engine}"
    iterations = 20 if check.gpu else 4
    words = ["transfer", "--task", task, "--engine", engine, "--ckpt", "random:resnet18", "--data", str(root)]
    words += ["--budget", "small", "--device", check.device.partition(":")[0], "--out", str(out)]
    words += ["--iters", str(iterations)]
    for name, value in RUNS[task].items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    done = check.bench(*words)
    result = out / "result.json"
    check.require(done.code == 0 and result.is_file(), f"{task} by {engine}: {done.tail()}")
    if result.is_file():
        record = json.loads(result.read_text())
        found = [value for value in record["metrics"].values() if value is not None]
        check.require(bool(found) and all(map(math.isfinite, found)), f"{task} by {engine}: no finite metrics")
        check.require(record["proof"].get("max_feature_difference", 1) == 0, f"{task} by {engine}: no proof")
        check.require(any("BN" in note for note in record["notes"]), f"{task} by {engine}: nothing is noted of BN")
        check.values[f"{task} by {engine}"] = {"wall_seconds": record["wall_seconds"], "peak_gpu_mib": record["peak_gpu_mib"]}
