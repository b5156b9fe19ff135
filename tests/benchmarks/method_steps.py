"""What a step of each method costs beside its forward and backward passes alone, on views that are in memory; prints JSON.

    python tests/benchmarks/method_steps.py [--only simsiam swav ...] [--steps 10] [--arch resnet18] [--size 64] [--batch 32]
    SIMSIAM_REPO=CLONE python tests/benchmarks/method_steps.py --memory [--arch resnet50 --size 128]

A step is what the loop does for a batch that is there: hooks, losses, gradients, the optimiser's step, diagnostics. The passes
are those that `pretrain.plan.passes` counts: the trained branch, its predictor and the target on the same views, backward from
a sum, and the same optimiser's step. Both take turns on the same learner; the ratio is the median over the turns, and should be
at most 1.05. Seconds are of the CPU, where that is the device: other processes don't count. `--memory` compares the peak
resident memory of SimSiam with that of the published code, each in a process of its own.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pretrain import methods
from pretrain.batch import Batch
from pretrain.config import PretrainConfig
from pretrain.trainer import Trainer

WARMUP = 2
MULTICROP = {"swav": 2, "dino": 2}
"""Methods that are timed with small crops, and how many."""


def main() -> None:
    """Print the ratio of each method, or both peaks of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=methods.METHODS, default=list(methods.METHODS))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", choices=PEAKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        print(PEAKS[options.peak_of](options))
    elif options.memory:
        print(json.dumps(memory(options)))
    else:
        for name in options.only:
            print(json.dumps({"method": name, **compared(name, options)}), flush=True)


def trainer_of(name: str, options: argparse.Namespace) -> Trainer:
    """A run of a method with the widths of a small budget."""
    method = methods.get(name)
    known = method.model_fields.keys() - {"fill_queue"}
    own = {field: value for field, value in method.small.items() if field in known}
    own |= {"queue": options.batch * 4} if "queue" in method.model_fields and name != "swav" else {}
    own |= {"local_views": MULTICROP[name], "local_size": options.size // 2} if name in MULTICROP else {}
    shared = {"arch": options.arch, "size": options.size, "batch": options.batch, "epochs": 20, "precision": "fp32"}
    labels = {"supervision": "full"} if method.labels == "required" else {}
    config = PretrainConfig.read({**shared, **labels, "method": {"name": name, **own}})
    return Trainer(config, 1000 * options.batch, 10, "cuda" if torch.cuda.is_available() else "cpu")


def batch_of(trainer: Trainer) -> Batch:
    """One batch of noise; nothing is augmented, so that targets see what the trained network sees."""
    number = trainer.recipe.batch
    sizes = [view.size for view in trainer.config.views()]
    crops = [torch.randint(0, 256, (number, 3, side, side), dtype=torch.uint8, device=trainer.device) for side in sizes]
    labels = torch.arange(number, device=trainer.device) % 10 - (trainer.config.supervision == "self") * 11
    return trainer.batch(crops, labels.clamp(min=-1), trainer.progress(0))


def step(trainer: Trainer, batch: Batch) -> None:
    """Do what `Trainer.step` does once the views are there."""
    learner = trainer.learner
    learner.before_forward(batch.progress)
    losses = learner(batch)
    total = losses.total
    trainer.optimizer.zero_grad(set_to_none=True)
    total.backward()
    float(total.detach())
    learner.after_backward(batch.progress)
    trainer.optimizer.step()
    learner.after_step(batch, losses)


def passes(trainer: Trainer, batch: Batch) -> None:
    """Do the passes alone, and the optimiser's step."""
    learner: Any = trainer.learner
    config, online = trainer.config, getattr(learner, "query", None) or learner.online
    roles = [view.role for view in config.views()]
    seen = [view.images for view, role in zip(batch.views, roles, strict=True) if role != "target"]
    outputs = online.by_size(seen) if config.method.together > 1 else _each(online, seen)
    predictor = getattr(learner, "predictor", None)
    outputs = [online.through(predictor, each) for each in outputs] if predictor is not None else outputs
    if config.method.targets == "momentum":
        target = getattr(learner, "key", None) or learner.target
        with torch.no_grad():
            taught = [images for images, role in zip(batch.targets, roles, strict=True) if role != "online"]
            _ = target.together(taught) if config.method.together > 1 else [target(images) for images in taught]
    total = torch.stack([each.sum() for each in outputs]).sum()
    trainer.optimizer.zero_grad(set_to_none=True)
    total.backward()
    float(total.detach())
    trainer.optimizer.step()


def _each(online: Any, seen: list[Tensor]) -> list[Tensor]:
    """Pass whole views one by one, and small crops as one batch."""
    whole = [images for images in seen if images.shape[-1] == seen[0].shape[-1]]
    return [*map(online, whole), *online.by_size(seen[len(whole) :])]


def compared(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time both in turn."""
    trainer = trainer_of(name, options)
    for group in trainer.optimizer.param_groups:
        group["lr"] = 0.0  # the passes' sum is no loss that may be minimised
    batch, times = batch_of(trainer), {"step": [], "passes": []}
    clock = time.process_time if trainer.device == "cpu" else time.perf_counter
    work: dict[str, Callable[[Trainer, Batch], None]] = {"step": step, "passes": passes}
    for turn in range(WARMUP + options.steps):
        for kind, run in sorted(work.items(), reverse=turn % 2 == 1):
            began = clock()
            run(trainer, batch)
            if turn >= WARMUP:
                times[kind].append(clock() - began)
    ratios = [whole / bare for whole, bare in zip(times["step"], times["passes"], strict=True)]
    seconds = {kind: round(statistics.median(each), 4) for kind, each in times.items()}
    return {"ratio": round(statistics.median(ratios), 3), "seconds": seconds}


def memory(options: argparse.Namespace) -> dict[str, float]:
    """Peak resident MiB of SimSiam's steps, ours and the published code's, and their ratio."""
    words = [sys.executable, __file__, f"--arch={options.arch}", f"--size={options.size}", f"--batch={options.batch}"]
    peaks = {}
    for kind in PEAKS:
        done = subprocess.run([*words, f"--peak-of={kind}"], capture_output=True, text=True, check=True)
        peaks[kind] = float(done.stdout)
    return {**peaks, "ratio": round(peaks["ours"] / peaks["published"], 3)}


def ours(options: argparse.Namespace) -> float:
    """Take three steps of ours."""
    trainer = trainer_of("simsiam", options)
    batch = batch_of(trainer)
    return _peak(lambda: step(trainer, batch))


def published(options: argparse.Namespace) -> float:
    """Take three steps of the published code, whose loop is main_simsiam.py's."""
    import torchvision

    sys.path.insert(0, os.environ["SIMSIAM_REPO"])
    from simsiam.builder import SimSiam

    method: Any = trainer_of("simsiam", options).config.method
    model = SimSiam(getattr(torchvision.models, options.arch), method.feature_dim, method.predictor)
    optimizer = torch.optim.SGD(model.parameters(), 0.0, momentum=0.9, weight_decay=1e-4)
    views = [torch.randn(options.batch, 3, options.size, options.size) for _ in range(2)]
    cosine = torch.nn.CosineSimilarity(dim=1)

    def step() -> None:
        p1, p2, z1, z2 = model(*views)
        loss = -(cosine(p1, z2).mean() + cosine(p2, z1).mean()) * 0.5
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return _peak(step)


def _peak(step: Callable[[], None]) -> float:
    for _ in range(3):
        step()
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


PEAKS: dict[str, Callable[[argparse.Namespace], float]] = {"ours": ours, "published": published}


if __name__ == "__main__":
    main()
