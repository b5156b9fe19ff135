"""Speed and memory of pre-training beside the published loop and beside the bare step, in one run; prints JSON.

    python tests/benchmarks/pretrain_speed.py --images FOLDER [--published 'COMMAND'] [--settings cpu]

FOLDER holds class folders of images, of which JPEGs of the setting's size are made first. `--published` is a command that times
the published loop on `--images DIR --arch A --size S --batch B --steps N` and prints one JSON line with images_per_s and
peak_rss_mib. Everything counts, from the JPEG file to the optimiser's step. On views that are in memory already: `step` is the
training's own step, and `bare` the plain one (torchvision's network as it is, in bf16 where the hardware has it, channels last:
query forward and backward, key forward, optimiser). Each runs in a process of its own, in turn, several times; medians.
"""

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    arch: str
    size: int
    batch: int
    jpeg: int
    """Side of the JPEGs, in pixels."""
    steps: int


SETTINGS = {
    "cpu": [Setting("resnet18", 64, 64, 64, 20), Setting("resnet50", 128, 32, 256, 6)],
    "gpu": [Setting("resnet50", 224, 256, 256, 60)],
}
WARMUP = 3
QUEUE = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--published")
    parser.add_argument("--settings", choices=sorted(SETTINGS), default="cpu")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--most", type=int, default=4000, help="JPEGs made")
    parser.add_argument("--only", choices=sorted(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--setting", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(one(options)))
        return
    print(json.dumps([compare(setting, options) for setting in SETTINGS[options.settings]], indent=1))


def compare(setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of all contestants, and the ratios of ours to the others."""
    with tempfile.TemporaryDirectory() as folder:
        make_jpegs(options.images, Path(folder) / "train", setting.jpeg, options.most)
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(options.repeat):
            for name, command in contestants(setting, options, folder).items():
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
                found.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
    rate = {name: statistics.median(run["images_per_s"] for run in runs) for name, runs in found.items()}
    memory = {name: statistics.median(run["peak_rss_mib"] for run in runs) for name, runs in found.items()}
    ratios = {f"rate over {name}": round(rate["ours"] / value, 3) for name, value in rate.items() if name != "ours"}
    if "published" in memory:
        ratios["memory over published"] = round(memory["ours"] / memory["published"], 3)
    return {"setting": vars(setting), "images_per_s": rate, "peak_rss_mib": memory, **ratios, "runs": found}


def contestants(setting: Setting, options: argparse.Namespace, folder: str) -> dict[str, list[str]]:
    """Commands, in the order they take turns."""
    me = [
        sys.executable,
        __file__,
        "--images",
        folder,
        "--setting",
        json.dumps(vars(setting)),
        "--workers",
        str(options.workers),
    ]
    commands = {name: [*me, "--only", name] for name in CONTESTANTS}
    if options.published:
        words = [f"--images={folder}/train", f"--arch={setting.arch}", f"--size={setting.size}"]
        words += [f"--batch={setting.batch}", f"--steps={setting.steps}", f"--queue={QUEUE}", f"--workers={options.workers}"]
        commands["published"] = [*shlex.split(options.published), *words]
    return commands


def make_jpegs(source: Path, target: Path, side: int, most: int) -> None:
    """Square JPEGs of one side, in class folders."""
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    for number in range(most):
        path = paths[number % len(paths)]
        folder = target / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("RGB").resize((side, side)).save(folder / f"{number}.jpg", quality=90)


def one(options: argparse.Namespace) -> dict[str, float]:
    """Time one contestant in this process."""
    import torch

    from pretrain.config import PretrainConfig
    from pretrain.core.devices import precision_of
    from pretrain.trainer import Trainer

    setting = Setting(**options.setting)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fields = {"arch": setting.arch, "size": setting.size, "batch": setting.batch, "queue": QUEUE, "epochs": 10_000}
    config = PretrainConfig.read({**fields, "precision": precision_of(device), "num_workers": options.workers})
    run = Trainer(config, 10_000 * setting.batch, 2, device)
    work = CONTESTANTS[options.only](run, options.images, setting.steps)
    for _ in range(WARMUP):
        next(work)
    if device == "cuda":  # the warm-up is not measured
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(setting.steps):
        next(work)
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images_per_s": round(setting.steps * setting.batch / seconds, 2), "peak_rss_mib": round(peak)}


def ours(run: Any, folder: Path, steps: int) -> Any:
    """The training loop's own path: loader, views, step."""
    from pretrain.core.journal import Journal
    from pretrain.feed import Feed
    from pretrain.images.imageset import read
    from pretrain.train import batches_of

    images = read(folder, "train")
    feed = Feed(run, batches_of(run, images, images.labels), 0, Journal())
    for step, (crops, labels, made) in enumerate(islice(feed, WARMUP + steps)):
        yield run.step(step, crops, labels, made)


def step(run: Any, folder: Path, steps: int) -> Any:
    """The training's own step on views that are in memory and need no augmentation."""
    import torch

    from pretrain.augment.mixed import Mixed
    from pretrain.batch import Batch

    views, n = tuple(in_memory(run)), run.recipe.batch
    labels, order = torch.full((n,), -1, device=run.device), torch.arange(n)
    batch = Batch(tuple(Mixed(view) for view in views), views, labels, order, run.progress(0))
    while True:
        run.learner.before_forward(batch.progress)
        losses = run.learner(batch)
        run.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        run.optimizer.step()
        run.learner.after_step(batch, losses)
        yield


def bare(run: Any, folder: Path, steps: int) -> Any:
    """The step of MoCo v2 without this project: two networks, the queue's product, torch's optimiser."""
    import torch
    import torch.nn.functional as F

    config, moco, recipe, (query_view, key_view) = run.config, run.config.method, run.recipe, in_memory(run)
    query, key = (_plain(config.arch, moco.feature_dim).to(run.device, memory_format=torch.channels_last) for _ in range(2))
    queue = F.normalize(torch.randn(moco.feature_dim, moco.queue, device=run.device), dim=0)
    momentum, decay = recipe.optimizer.momentum, recipe.weight_decay
    optimizer = torch.optim.SGD(query.parameters(), lr=recipe.lr, momentum=momentum, weight_decay=decay)
    target = torch.zeros(recipe.batch, dtype=torch.long, device=run.device)
    bf16 = torch.autocast(run.device, torch.bfloat16, enabled=config.precision == "bf16")
    while True:
        with bf16:
            q = F.normalize(query(query_view).float(), dim=1)
        with torch.no_grad():
            for mine, other in zip(key.parameters(), query.parameters(), strict=True):
                mine.mul_(moco.momentum).add_(other, alpha=1 - moco.momentum)
            with bf16:
                k = F.normalize(key(key_view).float(), dim=1)
        logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue], dim=1) / moco.temperature
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, target).backward()
        optimizer.step()
        queue[:, : recipe.batch] = k.T
        yield


def in_memory(run: Any) -> list[Any]:
    """Two views of a batch, ready for the encoders."""
    import torch

    shape = (run.recipe.batch, 3, run.config.size, run.config.size)
    return [torch.randn(shape, device=run.device).contiguous(memory_format=torch.channels_last) for _ in range(2)]


def _plain(arch: str, outputs: int) -> Any:
    """torchvision's network with MoCo v2's head."""
    import torchvision
    from torch import nn

    network = getattr(torchvision.models, arch)(num_classes=outputs)
    width = network.fc.in_features
    network.fc = nn.Sequential(nn.Linear(width, width), nn.ReLU(), network.fc)
    return network


CONTESTANTS = {"ours": ours, "step": step, "bare": bare}


if __name__ == "__main__":
    main()
