"""Two processes of Detectron2's trainer on a CPU; the command line's own test is in `test_engine_processes.py`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pretrain.core import distributed
from pretrain.core.group import group
from pretrain.core.journal import Journal
from transfer import engines, sources, tasks
from transfer.datasets import coco
from transfer.engines import Job, Outcome
from transfer.tasks.detection import DetectionSettings, FPNSettings

pytest.importorskip("detectron2", reason="Detectron2 is not installed; the head of the parity tests says what it needs")

pytestmark = [pytest.mark.detectron2, pytest.mark.filterwarnings("ignore:torch.meshgrid")]


class InterruptionError(Exception):
    """What a run is stopped with."""


def fit(settings: DetectionSettings, root: Path, folder: Path, stop: int | None = None) -> tuple[Outcome, list[str]]:
    """The engine's outcome, and the stages and lines it told; `stop`: images evaluated before an interruption."""
    told: list[str] = []

    def hear(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        told.append(stage)
        if (stage, done) == ("evaluate", stop):
            raise InterruptionError

    with distributed.first_alone():
        folder.mkdir(exist_ok=True)
    task, backbone = tasks.get("coco-fpn"), sources.load("random:resnet18:1")
    job = Job(task, settings, backbone, coco.read(root), folder, 0, "cpu", Journal(progress=hear), announce_time=True)
    return engines.get("detectron2").fit(job), told


def test_two_processes_evaluate_as_one_and_go_on_from_a_checkpoint(
    in_two_processes: Callable[..., None],
    tiny_detection: Callable[..., DetectionSettings],
    lay_coco: Callable[..., Path],
    tmp_path: Path,
) -> None:
    root = lay_coco(val=3)
    sizes = {"min_sizes": (64,), "test_size": 64, "checkpoint_seconds": 0, "score_threshold": 0}
    settings = tiny_detection("coco-fpn", iters=2, precise_bn=1, **sizes)
    alone, _ = fit(settings.replace({"iters": 0, "precise_bn": 0}), root, tmp_path / "alone")
    words = (root, tmp_path, settings.model_dump_json(), json.dumps(dict(alone.metrics)))
    in_two_processes(__file__, "check_two_processes", *words)


def check_two_processes(root: str, folder: str, plain: str, alone: str) -> None:
    """What each of two processes asserts."""
    torch.set_num_threads(1)
    settings, data = FPNSettings.model_validate_json(plain), Path(root)
    with group("cpu"):
        first = distributed.rank() == 0
        outcome, told = fit(settings.replace({"iters": 0, "precise_bn": 0}), data, Path(folder) / "untrained")
        assert outcome.metrics == (json.loads(alone) if first else {})
        assert told.count("evaluate") == (2 if first else 1)
        with pytest.raises(InterruptionError):
            fit(settings, data, Path(folder) / "run", stop=2)
        outcome, told = fit(settings, data, Path(folder) / "run")
        assert "resuming at iteration 2 of 2" in told
        assert outcome.proof["max_feature_difference"] == 0
        assert not first or any(note.startswith("BN synchronised over 2 processes") for note in outcome.notes)
