"""PASCAL VOC 2007's average precision as Detectron2 computes it (`evaluation/pascal_voc_evaluation.py`).

D detections of one class over all images, sorted by score; T overlap thresholds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transfer.datasets.objects import Picture
from transfer.detection.found import Found

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
RECALLS = np.arange(0.0, 1.1, 0.1)
"""The 11 points of the 2007 interpolation, as floating point makes them."""
SCORE_DIGITS, CORNER_DIGITS = 3, 1
"""Decimals that VOC's result files keep; the ranking of near-equal scores depends on them."""


def voc_metrics(found: Sequence[Found], pictures: Sequence[Picture], classes: int) -> tuple[dict[str, float | None], list[int]]:
    """Compute `AP50`, `AP75` and `AP`, the mean over thresholds .50 to .95, in percent; and list the classes left out.

    NOTE: a class without a (not difficult) object among the images has no AP and is left out of the mean;
    Detectron2 counts it as 0. On VOC itself every class is present.
    """
    precisions, absent = [], []
    for label in range(classes):
        per_threshold = average_precisions(found, pictures, label)
        absent.extend([label] if per_threshold is None else [])
        precisions.extend([] if per_threshold is None else [per_threshold])
    if not precisions:
        return {"AP": None, "AP50": None, "AP75": None}, absent
    means = 100 * np.mean(precisions, axis=0)
    at = {threshold: float(value) for threshold, value in zip(THRESHOLDS, means, strict=True)}
    return {"AP": float(means.mean()), "AP50": at[0.5], "AP75": at[0.75]}, absent


def average_precisions(found: Sequence[Found], pictures: Sequence[Picture], label: int) -> NDArray[np.float64] | None:
    """Compute the AP of one class at each threshold, (T,), 0 to 1; None where no object of it counts."""
    truths = [_truth(picture, label) for picture in pictures]
    objects = sum(int((~difficult).sum()) for _, difficult in truths)
    if objects == 0:
        return None
    image, scores, boxes = _detections(found, label)
    order = np.argsort(-scores)
    image, boxes = image[order], boxes[order]
    best = [_best(box, truths[at][0]) for at, box in zip(image, boxes, strict=True)]
    return np.array([_precision(image, best, truths, objects, threshold) for threshold in THRESHOLDS])


def _truth(picture: Picture, label: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return boxes with pixel indices counted from 1 and inclusive, and which objects are difficult."""
    chosen = picture.labels == label
    return picture.boxes[chosen].astype(np.float64) + np.array([1, 1, 0, 0]), picture.difficult[chosen]


def _detections(found: Sequence[Found], label: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return image, score and box of each detection, rounded as in a result file."""
    image, scores, boxes = [], [], []
    for at, each in enumerate(found):
        for index in np.flatnonzero(each.labels == label):
            left, top, right, bottom = each.boxes[index]
            corners = (left + 1, top + 1, right, bottom)
            image.append(at)
            scores.append(float(f"{each.scores[index]:.{SCORE_DIGITS}f}"))
            boxes.append([float(f"{corner:.{CORNER_DIGITS}f}") for corner in corners])
    return np.array(image, dtype=np.int64), np.array(scores, dtype=np.float64), np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _best(box: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, int]:
    """Find the largest overlap with a true box, and which box; pixels are counted, so a side is one more than a difference."""
    if not len(truth):
        return -np.inf, -1
    corner = np.maximum(truth[:, :2], box[:2])
    sides = np.maximum(np.minimum(truth[:, 2:], box[2:]) - corner + 1, 0)
    shared = sides[:, 0] * sides[:, 1]
    union = _pixels(box[None])[0] + _pixels(truth) - shared
    overlaps = shared / union
    index = int(np.argmax(overlaps))
    return float(overlaps[index]), index


def _pixels(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)


def _precision(
    image: NDArray[np.int64],
    best: Sequence[tuple[float, int]],
    truths: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]],
    objects: int,
    threshold: float,
) -> float:
    """Compute the 11-point AP at one threshold: each object is found once, difficult ones count neither way."""
    right, wrong = np.zeros(len(image)), np.zeros(len(image))
    taken: set[tuple[int, int]] = set()
    for rank, (at, (overlap, index)) in enumerate(zip(image.tolist(), best, strict=True)):
        if overlap <= threshold or (at, index) in taken:
            wrong[rank] = 1
        elif not truths[at][1][index]:
            right[rank] = 1
            taken.add((at, index))
    hits = np.cumsum(right)
    recall = hits / objects
    precision = hits / np.maximum(hits + np.cumsum(wrong), np.finfo(np.float64).eps)
    return sum(float(precision[recall >= point].max(initial=0.0)) / len(RECALLS) for point in RECALLS)
