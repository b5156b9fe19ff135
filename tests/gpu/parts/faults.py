"""What is wrong is one message, and ends within seconds."""

import subprocess
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from parts import ROOT, Check, pictures

LONGEST = 20.0
"""Seconds that a command may take on a quiet machine; a rehearsal has no such limit."""


def check(check: Check) -> None:
    """Devices that there are not, an unreadable image, a loss that is not finite, and a process that fails among others."""
    root = pictures(check.folder, train=16, val=1)
    words = ["pretrain", "--data", str(root), "--method", "mocov2", "--arch", "resnet18", "--epochs", "2"]
    for pair in ("size=32", "batch=16", "queue=64", "num_workers=0", "precision=fp32"):
        words += ["--set", pair]
    gpus = torch.cuda.device_count()
    _one(check, "an index too high", "unknown device", *words, "--device", f"cuda:{gpus + 6}")
    _one(check, "no index", "unknown device", *words, "--device", "cuda:x")
    _one(check, "more processes than GPUs", "a GPU of its own", *words, "--device", "cuda", "--devices", str(gpus + 1))
    _one(check, "several processes on one GPU", "can't share a GPU", *words, "--device", "cuda:0", "--devices", "2")
    here = ["--device", check.device.partition(":")[0]]
    _one(check, "a loss that is not finite", "the loss is", *words, *here, "--set", "base_lr=1e30", "--out", "nan")
    image = next(Path(root).rglob("train/*/*.*"))
    image.write_bytes(image.read_bytes()[:100])
    _one(check, "an image that can't be read", image.name, *words, *here, "--out", "spoilt")
    several = ["--device", "cpu", "--devices", "2"]
    _one(check, "an image that can't be read, of two processes", image.name, *words, *several, "--out", "two")
    Image.new("RGB", (64, 64)).save(image)
    _in_a_group(check)


def _one(check: Check, what: str, text: str, *words: str) -> None:
    """Run a command that must end with exit code 2 and one message, which has the text."""
    began = time.monotonic()
    done = check.bench(*words)
    seconds = round(time.monotonic() - began, 1)
    check.values[what] = seconds
    if ("cuda" in words and not torch.cuda.is_available()) or (any("cuda:" in word for word in words) and not check.gpu):
        text = "CUDA was asked for and there is none"
    one = done.code == 2 and done.err.count("bench: ") == 1 and "Traceback" not in done.err
    check.require(one and text in done.err, f"{what}: {done.tail()}")
    check.require(seconds < LONGEST or not check.gpu, f"{what}: took {seconds} s")


def _in_a_group(check: Check) -> None:
    """An error within a group on the device ends the process with its message, without waiting for the others."""
    code = f"""
import os, sys
sys.path[:0] = [{str(ROOT)!r}]
os.environ |= dict(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="29534")
import bench.cli
from pretrain.core.errors import DataError
from pretrain.core.group import joined
def app():
    with joined({check.device.partition(":")[0]!r}):
        raise DataError("an image can't be read")
bench.cli.app = app
bench.cli.main()
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    check.values["an error in a group"] = round(time.monotonic() - began, 1)
    said = "bench: an image can't be read" in done.stderr and "Traceback" not in done.stderr
    check.require(done.returncode == 2 and said, f"an error in a group: {done.returncode} {done.stderr[-300:]}")
