"""Two processes on a CPU measure frozen features as one does: only forward passes are divided."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pretrain.core import distributed
from pretrain.core.group import group
from pretrain.core.journal import Journal
from transfer import sources, tasks
from transfer.datasets import imagefolder
from transfer.engines import Job
from transfer.engines.probe import engine
from transfer.representation.measure import MeasureSettings, measure

KINDS = {"knn": {"neighbours": 5}, "linear": {"epochs": 3}, "linear-cached": {"epochs": 3}}
BATCH = 9  # which two processes can't halve


def outcomes(data: Path, folder: Path) -> dict[str, object]:
    """Run every protocol and the measure; returns metrics and losses."""
    found: dict[str, object] = {}
    content, backbone = imagefolder.read(data), sources.load("random:resnet18:1")
    for task, changes in KINDS.items():
        declared, losses = tasks.get(task), list[float]()

        def hear(stage: str, done: int, total: int, values: dict[str, float], losses: list[float] = losses) -> None:
            losses.extend(values.values())

        tiny = {**declared.small, "size": 32, "batch": BATCH, **changes}
        (folder / task).mkdir(exist_ok=True)
        heard = Journal(None, None if distributed.rank() else hear)
        job = Job(declared, declared.settings.replace(tiny), backbone, content, folder / task, 0, "cpu", heard)
        found[task] = [dict(engine.Probe.fit(job).metrics), losses]
    settings = MeasureSettings().replace({"views": 2, "size": 32, "batch": 7, "probe": "cutmix"})
    found["measure"] = [
        each.metrics for each in measure(backbone, content.val, settings, Journal(), seed=0, device="cpu", splits=2)
    ]
    return found


def features() -> list[np.ndarray]:
    files = sorted(Path(os.environ["BENCH_CACHE"]).glob("features/*.npy"))
    return [np.load(file) for file in files]


def test_two_processes_probe_and_measure_as_one(
    in_two_processes: Callable[..., None], shades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "one"))
    (tmp_path / "expected.json").write_text(json.dumps(outcomes(shades, tmp_path / "one")))
    expected = features()
    assert [len(each) for each in expected] in ([42, 18], [18, 42])
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "two"))
    in_two_processes(__file__, "check_two_processes", shades, tmp_path)
    for ours, theirs in zip(features(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def check_two_processes(data: str, folder: str) -> None:
    """What each of two processes asserts."""
    torch.set_num_threads(1)
    expected = json.loads((Path(folder) / "expected.json").read_text())
    with group("cpu"):
        assert distributed.world() == 2
        found = outcomes(Path(data), Path(folder) / "two")
        if distributed.rank():
            return
        for task in KINDS:
            (metrics, losses), (its_metrics, its_losses) = found[task], expected[task]
            assert metrics == its_metrics
            assert losses == pytest.approx(its_losses, rel=1e-4)
        assert found["measure"] == expected["measure"]  # whole batches are divided: the very same numbers
