"""A run that is stopped by SIGTERM and killed by SIGKILL ends as one that was not."""

import json
import signal
import time
from pathlib import Path

import torch

from parts import Check, farthest, pictures

STEPS = 40
STOPPED, KILLED = 11, 31
CUT = [f"{name}={value}" for name, value in {"size": 32, "batch": 24, "queue": 96, "num_workers": 1, "tf32": "off"}.items()]
CUT += ["precision=fp32", "save_every=1", "fill_queue=false", "warmup_epochs=0"]


def check(check: Check) -> None:
    """One training step is an epoch, so that both cuts find a checkpoint of the step before."""
    root = pictures(check.folder, train=12, val=1)
    words = ["pretrain", "--method", "mocov2", "--arch", "resnet18", "--device", check.device.partition(":")[0]]
    words += ["--data", str(root), "--epochs", str(STEPS), *(word for pair in CUT for word in ("--set", pair))]
    whole, cut = check.folder / "whole", check.folder / "cut"
    done = check.bench(*words, "--out", whole)
    check.require(done.code == 0, f"the whole run: {done.tail()}")
    check.values["exit codes"] = [
        _ended(check, cut, STOPPED, signal.SIGTERM, words),
        _ended(check, cut, KILLED, signal.SIGKILL, words),
    ]
    check.require(check.values["exit codes"] == [143, -9], "other exit codes than 143 and -9")
    done = check.bench(*words, "--out", cut)
    check.require(done.code == 0, f"the resumed run: {done.tail()}")
    check.require(_steps(cut) == _steps(whole), "the steps noted of the cut run are not those of the whole one")
    states = [torch.load(path / "backbone.pth", weights_only=True)["state_dict"] for path in (whole, cut)]
    apart = max(farthest(b.float(), a.float()) for a, b in zip(states[0].values(), states[1].values(), strict=True))
    check.close("backbones differ by", apart, 0.0 if not check.gpu else 1e-4)
    check.values["equal bits"] = apart == 0
    if check.gpu:
        before, after = (json.loads((path / "result.json").read_text())["peak_gpu_mib"] for path in (whole, cut))
        check.values |= {"peak_gpu_mib": [before, after]}
        check.require(after <= 1.05 * before, "the resumed run holds more memory")


def _ended(check: Check, out: Path, step: int, by: signal.Signals, words: list[str]) -> int:
    """Run until that step is noted, and send the signal."""
    with check.started(*words, "--out", out) as child:
        deadline = time.monotonic() + 200
        while child.poll() is None and (not _steps(out) or _steps(out)[-1] < step) and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(by)
        child.communicate(timeout=100)
    return child.returncode


def _steps(out: Path) -> list[int]:
    path = out / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.is_file() else []
    found = [json.loads(line) for line in lines]
    return [line["step"] for line in found if line["stage"] == "pretrain"]
