"""Frozen features, what is trained on them and what is measured of them are the same on both devices."""

import json
from pathlib import Path

import torch

from parts import Check, farthest, pictures
from pretrain.images.imageset import read
from transfer import sources
from transfer.datasets import imagefolder
from transfer.representation.features import centre_features, extractor
from transfer.representation.monitor import monitor

CKPT = "random:resnet18"
SIZE = ["--set", "size=64", "--set", "num_workers=0", "--set", "tf32=off"]
PROTOCOLS = {
    "linear": ["--set", "epochs=2", "--set", "batch=16"],
    "linear-cached": ["--set", "epochs=5", "--lr-search"],
    "knn": [],
}
MEASURED = {"none": [], "cutmix": ["--probe", "cutmix"]}


def check(check: Check) -> None:
    """Features, the accuracies of each protocol, Linv and Ldiv, and the monitor's number."""
    root = pictures(check.folder, train=24, val=24)
    images, backbone = read(root, "val"), sources.load(CKPT)
    both = ("cpu", check.device)
    features = [torch.cat(list(_features(backbone, images, device))) for device in both]
    check.close("features", farthest(features[1], features[0]), 1e-5)
    data = imagefolder.read(root)
    found = [monitor(data, arch="resnet18", size=64, batch=16, device=device)(backbone.state)["knn"] for device in both]
    image = 100 / len(images)
    check.close("monitor", abs(found[1] - found[0]), 1.01 * image)
    for task, words in PROTOCOLS.items():
        words = ["transfer", "--task", task, "--ckpt", CKPT, *words]
        values = [_metrics(check, *words, root=root, device=device) for device in both]
        limit = 1.01 * image if task == "knn" else 5.01 * image  # a step's rounding moves an image near the border
        for name in values[0]:
            if values[0][name] is not None:
                check.close(f"{task}: {name}", abs(values[1][name] - values[0][name]), limit)
    for probe, words in MEASURED.items():
        words = ["measure", "--ckpt", CKPT, *words, "--set", "images=32", "--set", "batch=8"]
        values = [_metrics(check, *words, root=root, device=device) for device in both]
        for name in ("Linv", "Ldiv"):
            check.close(f"measure {probe}: {name}", abs(values[1][name] - values[0][name]), 1e-3)


def _features(backbone: sources.Backbone, images, device: str):  # type: ignore[no-untyped-def]
    model, _ = extractor(backbone, device)
    return centre_features(model, images, size=64, batch=16, num_workers=0, device=device)


def _metrics(check: Check, *words: str, root: Path, device: str) -> dict[str, float]:
    out = check.folder / f"run{len(list(check.folder.glob('run*')))}"
    where = ["--data", str(root), "--device", device.partition(":")[0], "--budget", "small", "--out", str(out)]
    done = check.bench(*words, *where, *SIZE)
    if done.code:
        raise RuntimeError(f"{' '.join(words[:4])}: {done.tail()}")
    metrics: dict[str, float] = json.loads((out / "result.json").read_text())["metrics"]
    return metrics
