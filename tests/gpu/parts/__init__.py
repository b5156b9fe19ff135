"""The parts of the check, one module each, with a function `check`; and what they share."""

import contextlib
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pretrain.config import PretrainConfig
from pretrain.core import devices
from pretrain.trainer import Trainer

ROOT = Path(__file__).resolve().parents[3]
OFF = dict.fromkeys(("jitter", "grey", "blur", "flip", "solarize"), 0)
"""A pipeline that does nothing, for which no draw matters."""


@dataclass
class Check:
    """A part at work: where it computes, what it found, and what failed."""

    device: str
    """`cpu`, or a GPU's `cuda:0`."""
    folder: Path
    """For files; gone afterwards."""
    values: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def begun(cls, device: str, *, deterministic: bool) -> Iterator["Check"]:
        """Hold a part for the length of the block; an exception in it is a failure."""
        devices.compute(tf32=False)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
            check = cls(devices.own(device), Path(folder))
            try:
                yield check
            except Exception as error:
                traceback.print_exc()
                check.failures.append(f"{type(error).__name__}: {str(error)[:500]}")

    @property
    def gpu(self) -> bool:
        """Whether there is a GPU to check, and not a rehearsal on the CPU."""
        return self.device != "cpu"

    def require(self, holds: bool, text: str) -> None:
        """Note a failure, and go on."""
        if not holds:
            self.failures.append(text)

    def close(self, name: str, found: float, limit: float) -> None:
        """Note a value, which must not be above a limit."""
        self.values[name] = float(f"{found:.3g}")
        self.require(found <= limit, f"{name} is {found:.3g}, above {limit:g}")

    def bench(self, *words: str | Path, limit: float = 300) -> "Done":
        """Run `bench` in the folder."""
        with self.started(*words) as child:
            out, err = child.communicate(timeout=limit)
        return Done(child.returncode, out, err)

    @contextlib.contextmanager
    def started(self, *words: str | Path) -> Iterator["subprocess.Popen[str]"]:
        """Start `bench`, and end it with the block."""
        command = [sys.executable, "-m", "bench", *map(str, words)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder)
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    def tail(self) -> str:
        """What to show of it where it failed."""
        return f"exit code {self.code}: {self.err[-300:] or self.out[-300:]}"


def shapes(folder: Path, *, train: int = 24, val: int = 20) -> Path:
    """Generate a few scenes in all layouts."""
    from transfer.shapes.generate import generate

    return generate(folder / "shapes", train=train, val=val)


def pictures(folder: Path, *, train: int, val: int) -> Path:
    """Write so many images of each of two classes, noise around a colour, as an image folder."""
    rng, root = np.random.default_rng(0), folder / "pictures"
    for split, count in (("train", train), ("val", val)):
        for name, colour in (("blue", (60, 80, 150)), ("red", (150, 80, 60))):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(rng.normal(colour, 60, (72, 96, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.jpg")
    return root


def trainer(device: str, *, size: int = 32, batch: int = 32, classes: int = 4, **fields: Any) -> Trainer:
    """Make a small pre-training in fp32 whose views are its crops."""
    plain = {"arch": "resnet18", "size": size, "batch": batch, "epochs": 100, "precision": "fp32", "base_lr": 0.03}
    own = {} if "method" in fields else {"queue": 4 * batch}
    config = PretrainConfig.read({**plain, "pipeline_options": OFF, **own, **fields})
    return Trainer(config, batch * 100, classes, device)


def crops(run: Trainer, step: int, parts: int = 1, part: int = 0) -> list[Tensor]:
    """Draw a step's crops on the CPU, channels last; of several processes, this one's part."""
    rng, made = torch.Generator().manual_seed(step), []
    n = run.recipe.batch // parts
    for view in run.config.views():
        every = torch.randint(0, 256, (run.recipe.batch, 3, view.size, view.size), dtype=torch.uint8, generator=rng)
        made.append(every[part * n : (part + 1) * n].contiguous(memory_format=torch.channels_last))
    return made


def losses(run: Trainer, steps: int) -> list[float]:
    """Do some steps; returns their losses."""
    n = run.recipe.batch
    labels = torch.arange(n) % 4 if run.config.labels_used else torch.full((n,), -1)
    return [float(run.step(step, crops(run, step), labels)[0]) for step in range(steps)]


def relative(found: Sequence[float], expected: Sequence[float]) -> list[float]:
    """Relative differences."""
    return [abs(a - b) / max(abs(b), 1e-6) for a, b in zip(found, expected, strict=True)]


def farthest(found: Tensor, expected: Tensor) -> float:
    """Largest difference, in parts of the largest number expected."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def finish(device: str) -> float:
    """Wait for a GPU; returns the time."""
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()
