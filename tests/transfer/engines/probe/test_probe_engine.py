"""Nearest neighbours and linear evaluation on frozen features."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.core.journal import Journal
from transfer import sources, tasks
from transfer.datasets import imagefolder
from transfer.engines import Job
from transfer.engines.probe import classifiers, engine
from transfer.engines.probe.classifiers import top
from transfer.engines.probe.knn import knn_votes


def test_votes_are_the_sum_of_exp_cosine_over_temperature_in_parts_of_the_nearest_ones() -> None:
    rng = torch.Generator().manual_seed(0)
    train, queries = torch.randn(9, 4, generator=rng), torch.randn(3, 4, generator=rng)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2])
    votes = knn_votes(train, labels, queries, classes=3, k=4, temperature=0.5)
    for i, q in enumerate(queries):
        cosines = sorted(
            ((float(q @ t / q.norm() / t.norm()), int(c)) for t, c in zip(train, labels, strict=True)), reverse=True
        )
        expected = [0.0, 0.0, 0.0]
        for value, cls in cosines[:4]:
            expected[cls] += math.exp(value / 0.5) / math.exp(cosines[0][0] / 0.5)
        assert votes[i].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.07, 0.01, 1e-4])
def test_no_temperature_is_too_small(temperature: float) -> None:
    rng = torch.Generator().manual_seed(0)
    centres, truth = torch.randn(3, 32, generator=rng), torch.arange(30) % 3
    train, queries = (centres[truth] + 0.3 * torch.randn(30, 32, generator=rng) for _ in range(2))
    votes = knn_votes(train, truth, queries, classes=3, k=5, temperature=temperature)
    assert top(votes, truth, 1) == 100


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that brightness tells apart."""
    root, rng = tmp_path_factory.mktemp("two"), np.random.default_rng(0)
    for split in ("train", "val"):
        for label, cls in enumerate(("dark", "light")):
            (root / split / cls).mkdir(parents=True)
            for i in range(16):
                pixels = rng.integers(120 * label, 120 * label + 100, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / cls / f"{i}.png")
    return root


def job(root: Path, folder: Path, task: str, **settings: object) -> Job:
    folder.mkdir(exist_ok=True)
    declared = tasks.get(task)
    small = declared.settings.replace({**declared.small, "size": 32, "batch": 8, **settings})
    return Job(declared, small, sources.load("random:resnet18"), imagefolder.read(root), folder, 0, "cpu", Journal())


@pytest.mark.parametrize(("task", "fields"), [("linear", {"epochs": 3}), ("knn", {"neighbours": 5})])
def test_classes_that_any_feature_separates_are_separated(
    root: Path, tmp_path: Path, task: str, fields: dict[str, object]
) -> None:
    outcome = engine.Probe.fit(job(root, tmp_path, task, **fields))
    assert outcome.metrics[tasks.get(task).metrics[0]] == 100
    assert outcome.proof["max_feature_difference"] == 0


def test_the_same_seed_gives_the_same_number_and_no_epoch_an_untrained_head(root: Path, tmp_path: Path) -> None:
    first, again, untrained = (
        engine.Probe.fit(job(root, tmp_path / name, "linear", epochs=epochs)).metrics
        for name, epochs in (("a", 1), ("b", 1), ("c", 0))
    )
    assert first == again
    assert untrained["top1"] <= 100
    assert first["top5"] is None  # two classes have no five best


def test_the_learning_rate_falls_at_epochs_60_and_80_of_100() -> None:
    settings = tasks.get("linear").settings
    rates = [classifiers.lr_at(settings, epoch) for epoch in (0, 59, 60, 79, 80, 99)]
    assert rates == pytest.approx([30, 30, 3, 3, 0.3, 0.3])
