"""The Detectron2 engine from data on disk to metrics; skips where Detectron2 can't be imported (see the parity tests)."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain import backbones
from pretrain.core import interrupt
from pretrain.core.errors import CheckpointError, DataError, ProofError, TrainingError
from pretrain.core.journal import Journal
from transfer import convert, engines, sources, tasks
from transfer.datasets import coco, voc
from transfer.engines import Job, Outcome
from transfer.engines.detectron2 import config, engine
from transfer.tasks.detection import DetectionSettings

pytest.importorskip("detectron2", reason="Detectron2 is not installed; the head of the parity tests says what it needs")

from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances, register_pascal_voc
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.utils.env import seed_all_rng

pytestmark = [
    pytest.mark.detectron2,
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning"),
]

Tiny = Callable[..., DetectionSettings]
Lay = Callable[..., Path]
TASKS = ("voc07", "coco-c4", "coco-fpn")


class InterruptionError(Exception):
    """What a test stops a training with."""


@pytest.fixture
def read(lay_voc: Lay, lay_coco: Lay) -> Callable[[str], tuple[Path, Any]]:
    """The root and the content of a tiny data set for a task."""

    def laid(task: str) -> tuple[Path, Any]:
        root = lay_voc() if task == "voc07" else lay_coco()
        return root, voc.read(root) if task == "voc07" else coco.read(root)

    return laid


def fit(task: str, settings: DetectionSettings, data: Any, folder: Path, arch: str = "resnet18", **more: Any) -> Outcome:
    folder.mkdir(exist_ok=True)
    journal = Journal(folder, more.pop("progress", None))
    job = Job(tasks.get(task), settings, sources.load(f"random:{arch}:1"), data, folder, 0, "cpu", journal, **more)
    return engines.get("detectron2").fit(job)


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["stage"] == "train"]


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in rows(folder)]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_trained_evaluated_and_drawn(
    task: str, tiny_detection: Tiny, read: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered = set(DatasetCatalog.list())
    outcome = fit(task, tiny_detection(task), read(task)[1], tmp_path / "run")
    assert outcome.metrics.keys() == set(tasks.get(task).metrics)
    assert all(value is not None and 0 <= value <= 100 for value in outcome.metrics.values())
    assert outcome.proof == {"tensors": 120.0, "max_feature_difference": 0.0}
    assert any("BN statistics of one process" in note for note in outcome.notes)
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2, 3]
    terms = {"loss", "lr", "cls", "box_reg", "rpn_cls", "rpn_loc"} | ({"mask"} if task != "voc07" else set())
    assert terms <= rows(tmp_path / "run")[0].keys()
    left = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    own = {"detectron2_config.yaml", "predictions.png", "detectron2/backbone.pth", "detectron2/log.txt"}
    spent = {path.relative_to(tmp_path.resolve() / "run").as_posix() for path in outcome.spent}
    assert spent >= {"detectron2/last_checkpoint", "detectron2/model_0000003.pth"}
    assert left == own | spent | {"metrics.jsonl"}
    assert set(DatasetCatalog.list()) == registered
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("task", TASKS)
def test_a_broken_run_goes_on_from_its_last_checkpoint(task: str, tiny_detection: Tiny, read: Any, tmp_path: Path) -> None:
    settings, (_, data) = tiny_detection(task, checkpoint_seconds=0), read(task)

    def stop(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if (stage, done) == ("train", 2):
            raise InterruptionError

    with pytest.raises(InterruptionError):
        fit(task, settings, data, tmp_path / "run", progress=stop)
    assert [path.name for path in (tmp_path / "run/detectron2").glob("model_*")] == ["model_0000001.pth"]
    outcome = fit(task, settings, data, tmp_path / "run")
    assert "resuming at iteration 1 of 3" in (tmp_path / "run/log.txt").read_text()
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2, 3]
    assert any("not the order of the images" in note for note in outcome.notes)
    assert outcome.proof["max_feature_difference"] == 0


def test_a_signal_saves_the_iteration_it_came_in(tiny_detection: Tiny, read: Any, tmp_path: Path) -> None:
    settings, (_, data) = tiny_detection("voc07"), read("voc07")

    def ask(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if (stage, done) == ("train", 2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(interrupt.Interrupted, match="iteration 2 of 3"), interrupt.listening():
        fit("voc07", settings, data, tmp_path / "run", progress=ask)
    assert (tmp_path / "run/detectron2/last_checkpoint").read_text() == "model_0000002.pth"
    fit("voc07", settings, data, tmp_path / "run")
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 2, 3]


@pytest.mark.parametrize("task", TASKS)
def test_the_native_configuration_repeats_the_run_without_us(
    task: str, tiny_detection: Tiny, read: Any, tmp_path: Path
) -> None:
    root, data = read(task)
    # Without a threshold, for the FPN finds nothing above one after three iterations.
    outcome = fit(task, tiny_detection(task, score_threshold=0), data, tmp_path / "run")
    if task == "voc07":
        complete(root / "VOC2007")
    cfg = get_cfg()
    cfg.merge_from_file(str(tmp_path / "run/detectron2_config.yaml"))
    cfg.OUTPUT_DIR = str(tmp_path)
    names = (cfg.DATASETS.TRAIN[0], cfg.DATASETS.TEST[0])
    for name, split in zip(names, ("trainval", "test") if task == "voc07" else ("train2017", "val2017"), strict=True):
        if task == "voc07":
            register_pascal_voc(name, str(root / "VOC2007"), split, 2007, class_names=data.classes)
        else:
            register_coco_instances(name, {}, str(root / f"annotations/instances_{split}.json"), str(root / split))
    try:
        results, total = train_alone(cfg)
    finally:
        for name in names:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
    assert total == losses(tmp_path / "run")
    kinds = {"": "bbox"} if task == "voc07" else {"_box": "bbox", "_seg": "segm"}
    expected = {f"{stat}{kind}": results[kinds[kind]][stat] for kind in kinds for stat in ("AP", "AP50", "AP75")}
    print(outcome.metrics, expected)
    assert outcome.metrics == pytest.approx(expected, abs=1e-9)
    assert max(expected.values()) > 0.1


def complete(folder: Path) -> None:
    """Detectron2 reads VOC's images by the ending `.jpg`, whatever is in them, and needs fields that nothing depends on."""
    for path in (folder / "JPEGImages").glob("*.png"):
        path.rename(path.with_suffix(".jpg"))
    for path in (folder / "Annotations").glob("*.xml"):
        path.write_text(path.read_text().replace("<difficult>", "<pose>x</pose><truncated>0</truncated><difficult>"))


def train_alone(cfg: CfgNode) -> tuple[dict[str, Any], list[float]]:
    """Detectron2's trainer with its own loaders and evaluators: the results, and the losses."""
    total: list[float] = []

    class Alone(DefaultTrainer):
        @classmethod
        def build_evaluator(cls, cfg: CfgNode, name: str) -> Any:
            if "year" in MetadataCatalog.get(name).as_dict():
                return PascalVOCDetectionEvaluator(name)
            return COCOEvaluator(name, tasks=("bbox", "segm"), distributed=False, use_fast_impl=False)

        def build_writers(self) -> list[Any]:
            return []

        def after_step(self) -> None:
            total.append(self.storage.latest()["total_loss"][0])
            super().after_step()

    seed_all_rng(cfg.SEED)
    trainer = Alone(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    return trainer._last_eval_results, total


def test_saying_the_time_changes_no_number(tiny_detection: Tiny, read: Any, tmp_path: Path) -> None:
    data = read("voc07")[1]
    outcomes = [
        fit("voc07", tiny_detection(), data, tmp_path / str(announce), announce_time=announce) for announce in (False, True)
    ]
    assert "estimated time" in (tmp_path / "True/log.txt").read_text()
    assert outcomes[0].metrics == outcomes[1].metrics
    assert losses(tmp_path / "False") == losses(tmp_path / "True")


def test_without_iterations_the_untrained_detector_is_evaluated(tiny_detection: Tiny, read: Any, tmp_path: Path) -> None:
    outcome = fit("coco-fpn", tiny_detection("coco-fpn", iters=0), read("coco-fpn")[1], tmp_path / "run")
    assert outcome.metrics["AP_box"] is not None
    assert not (tmp_path / "run/metrics.jsonl").exists()


@pytest.mark.parametrize(("task", "arch"), [("voc07", "resnet34"), ("voc07", "resnet50"), ("coco-fpn", "resnet101")])
def test_every_architecture_is_proven_to_the_last_bit(
    task: str, arch: str, tiny_detection: Tiny, read: Any, tmp_path: Path
) -> None:
    settings = tiny_detection(task, iters=0, precise_bn=0, max_val_images=1)
    outcome = fit(task, settings, read(task)[1].limited(1), tmp_path / "run", arch)
    assert outcome.proof == {"tensors": float(len(backbones.get(arch).skeleton())), "max_feature_difference": 0.0}


def test_a_stride_in_the_wrong_convolution_stops_the_run(
    tiny_detection: Tiny, read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {"MODEL.RESNETS.STRIDE_IN_1X1": True}
    monkeypatch.setattr(engine, "native_config", lambda *args, **named: config.native_config(*args, **named) | changed)
    with pytest.raises(ProofError, match="other features"):
        fit("voc07", tiny_detection(), read("voc07")[1], tmp_path / "run", "resnet50")


def test_swapped_norms_stop_the_run(tiny_detection: Tiny, read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(state: Any) -> dict[str, Any]:
        payload = convert.detectron2_payload(state)
        renamed = payload["model"]
        first, second = "res3.0.conv1.norm.running_mean", "res3.0.conv2.norm.running_mean"
        renamed[first], renamed[second] = renamed[second] + 1, renamed[first]
        return payload

    monkeypatch.setattr(engine, "detectron2_payload", swapped)
    with pytest.raises(ProofError, match="did not load the backbone"):
        fit("coco-fpn", tiny_detection("coco-fpn"), read("coco-fpn")[1], tmp_path / "run")


def test_an_image_that_can_not_be_read_is_named(tiny_detection: Tiny, read: Any, tmp_path: Path) -> None:
    root, data = read("voc07")
    (root / "VOC2007/JPEGImages/001001.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"can't read the image .*001001\.png"):
        fit("voc07", tiny_detection(iters=1), data, tmp_path / "run")


def test_a_diverging_training_leaves_no_result(tiny_detection: Tiny, read: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        fit("voc07", tiny_detection(lr=1e12, warmup=0, iters=6), read("voc07")[1], tmp_path / "run")
    assert not (tmp_path / "run/predictions.png").exists()


def test_the_checkpoint_of_another_run_or_a_broken_one_is_refused(tiny_detection: Tiny, read: Any, tmp_path: Path) -> None:
    data, folder = read("voc07")[1], tmp_path / "run/detectron2"

    def stop(stage: str, done: int, total: int, values: dict[str, float]) -> None:
        if (stage, done) == ("evaluate", 1):
            raise InterruptionError

    with pytest.raises(InterruptionError):
        fit("voc07", tiny_detection(), data, tmp_path / "run", progress=stop)
    with pytest.raises(CheckpointError, match="another run"):
        fit("voc07", tiny_detection(lr=0.03), data, tmp_path / "run")
    (folder / "model_0000003.pth").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="can't resume"):
        fit("voc07", tiny_detection(), data, tmp_path / "run")
    torch.save({"model": {}}, folder / "model_0000003.pth")
    with pytest.raises(CheckpointError, match="another run"):
        fit("voc07", tiny_detection(), data, tmp_path / "run")
