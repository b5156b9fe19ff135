"""`bench transfer --devices 2` from the command line, on a CPU."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from transfer.tasks.detection import DetectionSettings

ROOT = Path(__file__).resolve().parents[3]
DETECTRON2 = pytest.param(
    "detectron2",
    marks=[
        pytest.mark.detectron2,
        pytest.mark.skipif(not importlib.util.find_spec("detectron2"), reason="Detectron2 is not installed"),
    ],
)


def bench(folder: Path, settings: DetectionSettings, *words: str) -> subprocess.CompletedProcess[str]:
    plain = settings.model_dump(mode="json")
    changes = [word for key, value in plain.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    command = ["-m", "bench", "transfer", "--ckpt", "random:resnet18", "--devices", "2", "--device", "cpu", *words, *changes]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=folder, timeout=280, env=environment)


@pytest.mark.parametrize("engine", ["torchvision", DETECTRON2])
def test_two_processes_train_and_evaluate_and_one_speaks(
    engine: str, tiny_detection: Callable[..., DetectionSettings], lay_voc: Callable[..., Path], tmp_path: Path
) -> None:
    settings = tiny_detection(iters=2, min_sizes=(64,), test_size=64, precise_bn=1, score_threshold=0)
    done = bench(tmp_path, settings, "--task", "voc07", "--engine", engine, "--data", str(lay_voc(val=3)), "--out", "run")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("result.json") == 1
    assert done.stderr.count("not the published protocol") == 1
    assert "Warning" not in done.stderr
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["environment"]["devices"] == 2
    assert "trained in 2 processes" in result["notes"]
    assert any("2 processes" in note and "BN" in note for note in result["notes"])
    assert result["proof"]["max_feature_difference"] == 0
    assert 0 <= result["metrics"]["AP50"] <= 100
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"predictions.png", f"{engine}_config.yaml"} <= left
    assert "last.pth" not in left
