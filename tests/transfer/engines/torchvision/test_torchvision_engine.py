"""The torchvision engine from data on disk to metrics."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pretrain.core import interrupt
from pretrain.core.errors import EngineError, TrainingError
from pretrain.core.journal import Journal
from transfer import engines, sources, tasks
from transfer.datasets import coco, voc
from transfer.datasets.objects import DetectionData
from transfer.engines import Job, Outcome
from transfer.engines.torchvision.evaluate import find
from transfer.engines.torchvision.fpn import FPN
from transfer.tasks.detection import C4Settings, DetectionSettings

Tiny = Callable[..., DetectionSettings]
Lay = Callable[..., Path]


class InterruptionError(Exception):
    """What a test stops a run with."""


def fit(
    task: str,
    settings: DetectionSettings,
    data: DetectionData,
    folder: Path,
    said: list[str] | None = None,
    stop: tuple[str, int] | None = None,
    signal_at: tuple[str, int] | None = None,
) -> Outcome:
    folder.mkdir(exist_ok=True)

    def hear(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if said is not None:
            said.append(stage)
        if (stage, done) == stop:
            raise InterruptionError
        if (stage, done) == signal_at:
            os.kill(os.getpid(), signal.SIGTERM)

    backbone = sources.load("random:resnet18:1")
    announce = said is not None
    job = Job(tasks.get(task), settings, backbone, data, folder, 0, "cpu", Journal(folder, hear), announce)
    return engines.get("torchvision").fit(job)


def test_voc_is_trained_evaluated_and_drawn(tiny_detection: Tiny, lay_voc: Lay, tmp_path: Path) -> None:
    said: list[str] = []
    outcome = fit("voc07", tiny_detection(), voc.read(lay_voc()), tmp_path / "run", said)
    assert outcome.metrics.keys() == set(tasks.get("voc07").metrics)
    assert all(value is not None and 0 <= value <= 100 for value in outcome.metrics.values())
    assert outcome.proof == {"tensors": 120.0, "max_feature_difference": 0.0}
    assert any("BN statistics of one process" in note for note in outcome.notes)
    assert any(text.startswith("estimated time") for text in said)
    assert [said.count(stage) for stage in ("train", "precise-bn", "evaluate")] == [3, 2, 4]
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["stage"] == "train"] == [1, 2, 3]
    assert {"loss", "lr", "cls", "box_reg", "rpn_cls", "rpn_loc"} <= rows[0].keys()
    with Image.open(tmp_path / "run/predictions.png") as image:
        assert image.width > 2 * 400
    assert outcome.spent == (tmp_path / "run/last.pth",)


@pytest.mark.parametrize("task", ["coco-c4", "coco-fpn"])
def test_coco_has_box_and_mask_metrics(tiny_detection: Tiny, lay_coco: Lay, tmp_path: Path, task: str) -> None:
    settings = tiny_detection(task, max_val_images=2)
    outcome = fit(task, settings, coco.read(lay_coco(), **settings.splits()), tmp_path / "run")
    assert outcome.metrics.keys() == set(tasks.get(task).metrics)
    assert outcome.proof == {"tensors": 120.0, "max_feature_difference": 0.0}
    assert "evaluated on 2 of 4 validation images" in outcome.notes


def test_a_run_writes_what_it_ran(tiny_detection: Tiny, lay_voc: Lay, tmp_path: Path) -> None:
    settings = tiny_detection(iters=0, precise_bn=0)
    fit("voc07", settings, voc.read(lay_voc()), tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run/torchvision_config.yaml").read_text())
    assert C4Settings.read(written["settings"]) == settings
    assert (written["arch"], written["seed"], written["classes"]) == ("resnet18", 0, ["blue", "green", "red"])
    assert written["backbone"] == sources.load("random:resnet18:1").sha256
    assert written["detector"] == "transfer.engines.torchvision.c4"
    assert written["input"]["order"] == "RGB"


def test_a_run_broken_in_its_evaluation_does_not_train_again(tiny_detection: Tiny, lay_coco: Lay, tmp_path: Path) -> None:
    data, settings = coco.read(lay_coco()), tiny_detection("coco-c4", iters=1, checkpoint_seconds=0)
    whole = fit("coco-c4", tiny_detection("coco-c4", iters=1), data, tmp_path / "whole")
    said: list[str] = []
    with pytest.raises(InterruptionError):
        fit("coco-c4", settings, data, tmp_path / "parts", said, stop=("evaluate", 1))
    assert (tmp_path / "parts/last.pth").exists()
    said.clear()
    for _ in range(2):  # the second as if it had been killed between the end of the first and its result
        assert fit("coco-c4", settings, data, tmp_path / "parts", said) == whole
    assert "train" not in said


def test_a_signal_saves_the_iteration_it_came_in_and_the_rest_is_as_if_it_had_not(
    tiny_detection: Tiny, lay_voc: Lay, tmp_path: Path
) -> None:
    data, settings = voc.read(lay_voc()), tiny_detection()
    whole = fit("voc07", settings, data, tmp_path / "whole")
    with pytest.raises(interrupt.Interrupted, match="iteration 2 of 3"), interrupt.listening():
        fit("voc07", settings, data, tmp_path / "cut", signal_at=("train", 2))
    assert fit("voc07", settings, data, tmp_path / "cut") == whole
    assert "resuming at iteration 2 of 3" in (tmp_path / "cut/log.txt").read_text()
    ours, theirs = (
        [{**json.loads(line), "seconds": 0} for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    )
    assert ours == theirs


def test_training_beats_the_untrained_detector(tiny_detection: Tiny, lay_voc: Lay, tmp_path: Path) -> None:
    data = voc.read(lay_voc(train=24, val=8))
    untrained = fit("voc07", tiny_detection(iters=0), data, tmp_path / "untrained").metrics["AP50"]
    settings = tiny_detection(iters=40, warmup=4, rois=12, object_share=0.5, steps=(32,))
    trained = fit("voc07", settings, data, tmp_path / "trained").metrics["AP50"]
    assert untrained is not None
    assert trained is not None
    assert trained > untrained + 20


def test_one_seed_gives_one_result_whatever_the_global_state(tiny_detection: Tiny, lay_coco: Lay, tmp_path: Path) -> None:
    data, settings = coco.read(lay_coco()), tiny_detection("coco-c4", iters=2)
    results = []
    for attempt in range(2):
        torch.manual_seed(attempt)
        outcome = fit("coco-c4", settings, data, tmp_path / str(attempt))
        lines = (tmp_path / str(attempt) / "metrics.jsonl").read_text().splitlines()
        losses = [row["loss"] for row in map(json.loads, lines) if row["stage"] == "train"]
        results.append((outcome.metrics, losses))
    assert results[0] == results[1]


def test_the_engine_runs_only_detection(lay_voc: Lay, tmp_path: Path) -> None:
    task = tasks.get("knn")
    job = Job(task, task.settings, sources.load("random:resnet18"), voc.read(lay_voc()), tmp_path, 0, "cpu", Journal())
    with pytest.raises(EngineError, match="can't run 'knn'"):
        engines.get("torchvision").fit(job)


def test_a_diverging_training_leaves_no_result(tiny_detection: Tiny, lay_voc: Lay, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        fit("voc07", tiny_detection(lr=1e12, warmup=0, iters=6), voc.read(lay_voc()), tmp_path / "run")
    assert not (tmp_path / "run/predictions.png").exists()


def test_what_is_found_does_not_depend_on_who_decodes_and_pastes(tiny_detection: Tiny, lay_coco: Lay) -> None:
    settings = tiny_detection("coco-fpn", min_sizes=(64,), test_size=64, score_threshold=0.0)
    data = coco.read(lay_coco(val=5))
    torch.manual_seed(0)
    model, steps = FPN("resnet18", len(data.classes), settings), list[int]()
    alone, aside = (
        find(
            model, data.val, settings.replace({"num_workers": workers}), Journal(None, lambda _, done, *__: steps.append(done))
        )
        for workers in (0, 2)
    )
    assert steps == [*range(1, 6)] * 2
    assert any(each.masks for each in alone)
    for one, other in zip(alone, aside, strict=True):
        assert one.masks == other.masks
        for mine, its in ((one.boxes, other.boxes), (one.scores, other.scores), (one.labels, other.labels)):
            np.testing.assert_array_equal(mine, its)
