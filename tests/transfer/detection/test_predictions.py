"""The picture of what a detector finds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from transfer.datasets import coco
from transfer.detection import masks as mask_ops
from transfer.detection import predictions
from transfer.detection.found import Found

Lay = Callable[..., Path]


def found(count: int, *, apart: int = 20) -> Found:
    """Boxes of 10 pixels, better to worse, each so far from the one before."""
    left = np.arange(count, dtype=np.float32) * apart
    boxes = np.stack([left, left * 0 + 5, left + 10, left * 0 + 15], axis=1)
    pixels = np.zeros((80, 96), dtype=np.uint8)
    pixels[5:15, :10] = 1
    masks = tuple(mask_ops.encode(pixels) for _ in range(count))
    return Found(boxes, np.linspace(0.9, 0.1, count, dtype=np.float32), np.arange(count) % 3, masks)


def drawn(each: Found, true_objects: int = 0) -> list[str]:
    return [shape.text for shape in predictions._found_shapes(each, ("blue", "green", "red"), true_objects)]


def test_a_prediction_carries_its_class_and_score() -> None:
    assert drawn(found(2)) == ["blue 90%", "green 10%"]


def test_of_predictions_on_one_another_only_the_best_is_drawn() -> None:
    assert drawn(found(3, apart=1)) == ["blue 90%"]


def test_the_best_predictions_are_drawn_as_many_as_there_are_true_objects() -> None:
    assert len(drawn(found(30))) == predictions.LEAST_DRAWN
    assert drawn(found(30), true_objects=11) == drawn(found(30), true_objects=40)[:11]


def test_truth_and_prediction_stand_side_by_side(lay_coco: Lay, tmp_path: Path) -> None:
    data = coco.read(lay_coco())
    nothing = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())
    predictions.write_predictions(tmp_path / "a.png", data, [nothing] * len(data.val))
    predictions.write_predictions(tmp_path / "b.png", data, [found(3)] * len(data.val))
    with Image.open(tmp_path / "a.png") as first, Image.open(tmp_path / "b.png") as second:
        assert first.size == second.size
        middle = first.width // 2
        left, right = np.asarray(first) != np.asarray(second), middle + predictions.GAP
    assert not left[:, :middle].any()
    assert left[:, right:].any()
