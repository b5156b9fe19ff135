"""The most memory of a GPU that a step takes, ours beside the bare one; on a CPU the steps alone are rehearsed."""

import runpy

import torch

from parts import ROOT, Check, crops
from pretrain.config import PretrainConfig
from pretrain.core import devices
from pretrain.trainer import Trainer

BENCH = runpy.run_path(str(ROOT / "tests/benchmarks/pretrain_speed.py"))
MOST = 1.1


def check(check: Check) -> None:
    """A step of ours takes at most a tenth more than the bare step."""
    fields = {"arch": "resnet50", "size": 224, "batch": 256} if check.gpu else {"arch": "resnet18", "size": 32, "batch": 16}
    config = PretrainConfig.read({**fields, "queue": 4 * fields["batch"], "precision": devices.precision_of(check.device)})
    peaks = {}
    for name in ("bare", "ours"):
        run = Trainer(config, 100 * config.recipe.batch, 2, check.device)
        labels, ready = torch.full((config.recipe.batch,), -1), crops(run, 0)
        devices.reset_peak_memory(check.device)
        bare = BENCH["bare"](run, check.folder, 3) if name == "bare" else None
        for step in range(3):
            next(bare) if bare else run.step(step, ready, labels)
        peaks[name] = devices.peak_memory_mib(check.device)
        del run, bare
    check.values["peak_mib"] = peaks
    if peaks["ours"] is not None and peaks["bare"] is not None:
        check.close("ours over bare", peaks["ours"] / peaks["bare"], MOST)
