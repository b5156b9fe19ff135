"""VOC's and COCO's average precision."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from transfer.datasets import coco
from transfer.datasets.objects import DetectionData, Picture
from transfer.detection import masks as mask_ops
from transfer.detection.coco_metric import coco_metrics
from transfer.detection.found import Found
from transfer.detection.voc_metric import voc_metrics

SQUARES = ((0, 0, 20, 20), (40, 40, 60, 60))


def picture(labels: tuple[int, ...], difficult: tuple[bool, ...] | None = None) -> Picture:
    boxes = np.array(SQUARES[: len(labels)], dtype=np.float32).reshape(-1, 4)
    easy = np.array(difficult or [False] * len(labels), dtype=bool)
    return Picture(Path("x"), "x", 80, 80, boxes, np.array(labels, dtype=np.int64), easy, np.zeros(len(labels), bool), None)


def found(*rows: tuple[tuple[int, int, int, int], float, int]) -> Found:
    boxes = np.array([row[0] for row in rows], dtype=np.float32).reshape(-1, 4)
    scores = np.array([row[1] for row in rows], dtype=np.float32)
    return Found(boxes, scores, np.array([row[2] for row in rows], dtype=np.int64), None)


def voc(detections: list[Found], pictures: list[Picture], classes: int = 1) -> dict[str, float | None]:
    return voc_metrics(detections, pictures, classes)[0]


def test_finding_everything_exactly_is_100_percent() -> None:
    metrics = voc([found((SQUARES[0], 0.9, 0), (SQUARES[1], 0.8, 0))], [picture((0, 0))])
    assert metrics == pytest.approx({"AP": 100, "AP50": 100, "AP75": 100})


def test_finding_the_first_half_covers_six_of_eleven_recalls() -> None:
    assert voc([found((SQUARES[0], 0.9, 0))], [picture((0, 0))])["AP50"] == pytest.approx(100 * 6 / 11)


def test_a_wrong_detection_ahead_halves_the_precision() -> None:
    wrong = ((60, 0, 79, 19), 0.95, 0)
    assert voc([found(wrong, (SQUARES[0], 0.9, 0))], [picture((0,))])["AP50"] == pytest.approx(50)


def test_a_second_detection_of_one_object_is_wrong() -> None:
    pictures = [picture((0, 0))]
    twice = found((SQUARES[0], 0.9, 0), (SQUARES[0], 0.8, 0), (SQUARES[1], 0.7, 0))
    # Precision 1 up to recall 0.5, then 2 of 3.
    assert voc([twice], pictures)["AP50"] == pytest.approx(100 * (6 + 5 * 2 / 3) / 11)


def test_difficult_objects_count_neither_way() -> None:
    pictures = [picture((0, 0), (False, True))]
    assert voc([found((SQUARES[1], 0.9, 0), (SQUARES[0], 0.8, 0))], pictures)["AP50"] == pytest.approx(100)
    assert voc([found((SQUARES[0], 0.8, 0))], pictures)["AP50"] == pytest.approx(100)


def test_overlaps_count_pixels_with_inclusive_corners() -> None:
    # 20 and 10 pixels wide, 20 high: 200 of 400 pixels overlap, which is not more than half of them.
    half = found(((0, 0, 10, 20), 0.9, 0))
    assert voc([half], [picture((0,))])["AP50"] == 0
    assert voc([found(((0, 0, 11, 20), 0.9, 0))], [picture((0,))])["AP50"] == pytest.approx(100)


def test_an_absent_class_is_left_out_and_named() -> None:
    metrics, absent = voc_metrics([found((SQUARES[0], 0.9, 0), (SQUARES[1], 0.9, 2))], [picture((0,))], 3)
    assert metrics["AP50"] == pytest.approx(100)
    assert absent == [1, 2]


def test_without_objects_there_is_no_ap() -> None:
    assert voc([found((SQUARES[0], 0.9, 0))], [picture(())]) == {"AP": None, "AP50": None, "AP75": None}


def test_finding_nothing_is_zero() -> None:
    assert voc([found()], [picture((0,))]) == {"AP": 0, "AP50": 0, "AP75": 0}


def test_scores_rank_over_all_images() -> None:
    pictures = [picture((0,)), picture((0,))]
    wrong = ((60, 0, 79, 19), 0.95, 0)
    detections = [found((SQUARES[0], 0.9, 0)), found(wrong, (SQUARES[0], 0.5, 0))]
    # After the wrong one, precision 1/2 at recall 0.5 and 2/3 at recall 1, which also counts for smaller recalls.
    assert voc(detections, pictures)["AP50"] == pytest.approx(100 * 2 / 3)


@pytest.fixture
def data(lay_coco: Callable[..., Path]) -> DetectionData:
    return coco.read(lay_coco())


def the_truth(data: DetectionData, score: float = 0.9) -> list[Found]:
    detections = []
    for each in data.val:
        assert each.masks is not None
        masks = tuple(mask_ops.encode(mask_ops.in_image(mask, each.height, each.width)) for mask in each.masks)
        detections.append(Found(each.boxes, np.full(len(each.labels), score, dtype=np.float32), each.labels, masks))
    return detections


def test_coco_gives_the_truth_100_percent(data: DetectionData) -> None:
    metrics = coco_metrics(the_truth(data), data, masks=True)
    assert metrics == pytest.approx(dict.fromkeys(("AP_box", "AP50_box", "AP75_box", "AP_seg", "AP50_seg", "AP75_seg"), 100))


def test_coco_without_masks_has_no_mask_metrics(data: DetectionData) -> None:
    boxes = [Found(each.boxes, each.scores, each.labels, None) for each in the_truth(data)]
    assert coco_metrics(boxes, data, masks=False) == pytest.approx({"AP_box": 100, "AP50_box": 100, "AP75_box": 100})


def test_coco_counts_only_the_images_evaluated(data: DetectionData) -> None:
    few = data.limited(2)
    assert coco_metrics(the_truth(few), few, masks=True)["AP_box"] == pytest.approx(100)


def test_coco_gives_nothing_found_zero_and_nothing_to_find_none(data: DetectionData) -> None:
    nothing = [found() for _ in data.val]
    assert coco_metrics(nothing, data, masks=False) == {"AP_box": 0, "AP50_box": 0, "AP75_box": 0}
    empty = DetectionData(data.ref, data.classes, data.train, (picture(()),), data.category_ids)
    assert coco_metrics([found()], empty, masks=False) == {"AP_box": None, "AP50_box": None, "AP75_box": None}


@pytest.fixture
def part_masks(lay_coco: Callable[..., Path]) -> Path:
    """A set in which every other object has a box alone; some objects are crowd regions."""
    root = lay_coco(train=4, val=6)
    for path in (root / "annotations").iterdir():
        content = json.loads(path.read_text())
        for number, each in enumerate(content["annotations"], start=1):
            each.update({"id": number} | ({"segmentation": []} if number % 2 else {}) | ({"iscrowd": 1} if number == 5 else {}))
        path.write_text(json.dumps(content))
    return root


def shaken(data: DetectionData) -> list[Found]:
    """The truth with boxes that are off by some pixels, scores that rank it, and a wrong box for each image."""
    numbers = np.random.default_rng(0)
    detections = []
    for each in data.val:
        boxes = np.concatenate([each.boxes + numbers.integers(-5, 6, each.boxes.shape), [[1, 1, 30, 30]]]).astype(np.float32)
        labels = np.concatenate([each.labels, [0]])
        rectangles = [mask_ops.in_image((np.array(box)[[0, 1, 2, 1, 2, 3, 0, 3]],), each.height, each.width) for box in boxes]
        scores = numbers.random(len(boxes)).astype(np.float32)
        detections.append(Found(boxes, scores, labels, tuple(map(mask_ops.encode, rectangles))))
    return detections


def by_pycocotools(path: Path, data: DetectionData, detections: list[Found]) -> list[float]:
    """AP, AP50 and AP75 of boxes as pycocotools computes them from the file itself."""
    truth = COCO(str(path))
    assert data.category_ids is not None
    results = [
        {
            "image_id": each.identity,
            "category_id": data.category_ids[label],
            "bbox": [x, y, right - x, bottom - y],
            "score": float(score),
        }
        for each, found in zip(data.val, detections, strict=True)
        for (x, y, right, bottom), label, score in zip(found.boxes.tolist(), found.labels, found.scores, strict=True)
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [100 * float(value) for value in evaluation.stats[:3]]


@pytest.mark.parametrize("masks", [True, False])
def test_box_ap_is_that_of_pycocotools_on_the_file_whichever_objects_have_masks(part_masks: Path, masks: bool) -> None:
    data = coco.read(part_masks, masks=masks)
    assert sum(len(each.labels) for each in data.val) == 12
    detections = shaken(data)
    expected = by_pycocotools(part_masks / "annotations/instances_val2017.json", data, detections)
    metrics = coco_metrics(detections, data, masks=masks)
    assert [metrics[name] for name in ("AP_box", "AP50_box", "AP75_box")] == expected
    assert 0 < expected[0] < expected[1] < 100


def test_mask_ap_counts_the_objects_that_have_a_mask(part_masks: Path) -> None:
    data = coco.read(part_masks)
    detections = []
    for each in data.val:
        assert each.masks is not None
        drawn = [mask_ops.encode(mask_ops.in_image(mask, each.height, each.width)) for mask in each.masks if mask is not None]
        ones = np.ones(len(drawn), dtype=np.float32)
        detections.append(Found(each.boxes[each.masked], ones, each.labels[each.masked], tuple(drawn)))
    metrics = coco_metrics(detections, data, masks=True)
    assert metrics["AP_seg"] == pytest.approx(100)
    assert metrics["AP_box"] is not None
    assert metrics["AP_box"] < 100


def test_without_a_single_mask_there_is_no_mask_ap(part_masks: Path) -> None:
    path = part_masks / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    for each in content["annotations"]:
        each.pop("segmentation")
    path.write_text(json.dumps(content))
    data = coco.read(part_masks)
    metrics = coco_metrics(shaken(data), data, masks=True)
    assert metrics["AP_seg"] is None
    assert metrics["AP_box"] is not None
