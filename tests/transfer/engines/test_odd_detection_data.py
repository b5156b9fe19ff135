"""Data that is odd and not wrong is trained on and evaluated, by each engine that is installed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.journal import Journal
from transfer import engines, sources, tasks
from transfer.datasets import coco
from transfer.engines import Job, Outcome
from transfer.tasks.detection import DetectionSettings

Tiny = Callable[..., DetectionSettings]
Lay = Callable[..., Path]

ENGINES = [
    "torchvision",
    pytest.param(
        "detectron2",
        marks=[
            pytest.mark.detectron2,
            pytest.mark.filterwarnings("ignore:torch.meshgrid"),
            pytest.mark.skipif(engines.missing("detectron2") is not None, reason="Detectron2 is not installed"),
        ],
    ),
]


def make_odd(content: dict[str, Any]) -> None:
    """Crowd regions, boxes without area, boxes that leave their image or miss it, images without objects, an absent class."""
    first, second, third, fourth, *_ = content["annotations"]
    size = [80, 96]
    first.update(iscrowd=1, segmentation={"size": size, "counts": [100, 500, 80 * 96 - 600]})
    second.update(bbox=[80, 60, 50, 50], segmentation=[[80, 60, 130, 60, 130, 110, 80, 110]])
    third.update(bbox=[200, 200, 30, 30], segmentation=[[200, 200, 230, 200, 230, 230]])
    fourth.update(bbox=[-20, -20, 10, 10], segmentation=[[-20, -20, -10, -20, -10, -10]])
    content["annotations"][4]["bbox"][2] = 0
    last = content["images"][-1]["id"]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != last]
    content["categories"].append({"id": 2**40, "name": "absent"})


@pytest.mark.parametrize("engine", ENGINES)
def test_odd_annotations_break_no_run(engine: str, lay_coco: Lay, tiny_detection: Tiny, tmp_path: Path) -> None:
    root = lay_coco(train=4, val=4)
    for path in (root / "annotations").iterdir():
        content = json.loads(path.read_text())
        make_odd(content)
        path.write_text(json.dumps(content))
    data = coco.read(root)
    assert [len(picture.boxes) for picture in data.val] == [2, 2, 1, 0]
    settings = tiny_detection("coco-fpn", iters=2)
    job = Job(tasks.get("coco-fpn"), settings, sources.load("random:resnet18:1"), data, tmp_path, 0, "cpu", Journal(tmp_path))
    outcome: Outcome = engines.get(engine).fit(job)
    assert all(value is not None and 0 <= value <= 100 for value in outcome.metrics.values())
    assert any("boxes without area left out" in note for note in outcome.notes)
    assert any("training images without objects left out" in note for note in outcome.notes)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", ["coco-c4", "coco-c4-box"])
def test_objects_without_masks_break_no_run(
    engine: str, task: str, lay_coco: Lay, tiny_detection: Tiny, tmp_path: Path
) -> None:
    root = lay_coco(train=4, val=2)
    for path in (root / "annotations").iterdir():
        content = json.loads(path.read_text())
        for each in content["annotations"][::2]:
            each["segmentation"] = []
        path.write_text(json.dumps(content))
    settings = tiny_detection(task, iters=2)
    data = coco.read(root, masks=settings.masks)
    assert sum(int(picture.trainable.sum()) for picture in data.train) == (4 if settings.masks else 8)
    job = Job(tasks.get(task), settings, sources.load("random:resnet18:1"), data, tmp_path, 0, "cpu", Journal(tmp_path))
    outcome: Outcome = engines.get(engine).fit(job)
    assert set(outcome.metrics) == set(tasks.get(task).metrics)
    assert all(value is not None for value in outcome.metrics.values())
    assert any("6 of 12 objects are boxes without a mask" in note for note in outcome.notes) == settings.masks
