"""Tiny image folders for the protocols on frozen features."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from pretrain.core.journal import Journal, Progress
from transfer import sources, tasks
from transfer.datasets import imagefolder
from transfer.engines import Job
from transfer.engines.probe import engine
from transfer.representation.features import extractor

ProbeJob = Callable[..., Job]


@pytest.fixture(scope="session")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 14 training and 6 validation images, which brightness tells apart, not quite."""
    root, rng = tmp_path_factory.mktemp("shades"), np.random.default_rng(0)
    for split, count in (("train", 14), ("val", 6)):
        for label, cls in enumerate(("dark", "grey", "light")):
            (root / split / cls).mkdir(parents=True)
            for i in range(count):
                low = int(rng.integers(50 * label, 50 * label + 40))
                pixels = rng.integers(low, low + 60, (36, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / cls / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def untrained() -> sources.Backbone:
    """A backbone that costs nothing."""
    return sources.load("random:resnet18:1")


@pytest.fixture(scope="session")
def proven(untrained: sources.Backbone) -> tuple[nn.Module, dict[str, float]]:
    """What `extractor` makes of it."""
    return extractor(untrained, "cpu")


@pytest.fixture
def proven_once(proven: tuple[nn.Module, dict[str, float]], monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that run many jobs with the one backbone: to prove it costs most of their time."""
    monkeypatch.setattr(engine, "extractor", lambda *_: proven)


@pytest.fixture
def probe_job(shades: Path, untrained: sources.Backbone, tmp_path: Path) -> ProbeJob:
    """A job of seconds on them; settings on top."""

    def job(
        task: str, hear: Progress | None = None, seed: int = 0, folder: str = "run", root: Path = shades, **changes: object
    ) -> Job:
        declared = tasks.get(task)
        tiny = {**declared.small, "size": 32, "batch": 8}
        tiny |= {"neighbours": 5} if task == "knn" else {"epochs": 3}
        settings = declared.settings.replace({**tiny, **changes})
        (tmp_path / folder).mkdir(exist_ok=True)
        data = imagefolder.read(root)
        return Job(declared, settings, untrained, data, tmp_path / folder, seed, "cpu", Journal(None, hear))

    return job
