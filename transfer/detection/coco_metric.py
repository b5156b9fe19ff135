"""COCO's average precision, by pycocotools (`evaluation/coco_evaluation.py`)."""

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from transfer.datasets.objects import DetectionData, Picture
from transfer.detection.found import Found

KINDS = {"box": "bbox", "seg": "segm"}
"""Suffix of the metric → pycocotools' name."""
STATS = ("AP", "AP50", "AP75")
"""The first entries of `COCOeval.stats`."""
MOST_DETECTIONS = 100
"""Detections counted per image and class."""


def coco_metrics(found: Sequence[Found], data: DetectionData, *, masks: bool) -> dict[str, float | None]:
    """Compute `AP_box`, `AP50_box`, `AP75_box` and, with masks, the same with `_seg`, in percent; None where undefined."""
    assert data.category_ids is not None, "the COCO reader gives them"
    kinds = [kind for kind in KINDS if kind == "box" or masks]
    results = _results(found, data)
    return {name: value for kind in kinds for name, value in _evaluate(results, data, kind).items()}


def _results(found: Sequence[Found], data: DetectionData) -> list[dict[str, Any]]:
    """Turn detections into COCO's form of results, with the file's own category ids."""
    assert data.category_ids is not None
    results = []
    for picture, each in zip(data.val, found, strict=True):
        for index, (left, top, right, bottom) in enumerate(each.boxes.tolist()):
            result = {
                "image_id": picture.identity,
                "category_id": data.category_ids[each.labels[index]],
                "bbox": [left, top, right - left, bottom - top],
                "score": float(each.scores[index]),
            }
            results.append(result | ({"segmentation": each.masks[index]} if each.masks is not None else {}))
    return results


def _evaluate(results: list[dict[str, Any]], data: DetectionData, kind: str) -> dict[str, float | None]:
    names = [f"{stat}_{kind}" for stat in STATS]
    truth = [picture.masked if kind == "seg" else np.ones(len(picture.labels), dtype=bool) for picture in data.val]
    if not any(map(np.any, truth)):
        return dict.fromkeys(names)
    if not results:
        # NOTE: nothing found where there is something to find is an AP of 0; Detectron2 reports NaN.
        return dict.fromkeys(names, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        known = _coco(data, truth)
        evaluation = COCOeval(known, known.loadRes(_for_kind(results, kind)), KINDS[kind])
        evaluation.params.imgIds = [picture.identity for picture in data.val]
        evaluation.params.maxDets = [1, 10, MOST_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: _percent(value) for name, value in zip(names, evaluation.stats, strict=False)}


def _coco(data: DetectionData, truth: Sequence[NDArray[np.bool_]]) -> COCO:
    """Make the truth as pycocotools reads it from a file, anew each time, because it writes into what it is given.

    `truth` selects the objects of each image that count: all for boxes, and those with a mask for masks.

    NOTE: objects are numbered from 1, because pycocotools takes a matched object whose id is 0 for an unmatched one.
    """
    assert data.category_ids is not None
    coco = COCO()
    chosen = zip(data.val, truth, strict=True)
    objects = [
        _object(picture, index, data.category_ids) for picture, which in chosen for index in np.flatnonzero(which).tolist()
    ]
    coco.dataset = {
        "images": [{"id": each.identity, "width": each.width, "height": each.height} for each in data.val],
        "annotations": [{"id": number, **each} for number, each in enumerate(objects, start=1)],
        "categories": [{"id": each} for each in data.category_ids],
    }
    coco.createIndex()
    return coco


def _object(picture: Picture, index: int, categories: Sequence[int]) -> dict[str, Any]:
    assert picture.measures is not None
    mask = picture.masks[index] if picture.masks is not None else None
    *box, area = picture.measures[index].tolist()
    return {
        "image_id": picture.identity,
        "category_id": categories[picture.labels[index]],
        "bbox": box,
        "area": area,
        "iscrowd": int(picture.crowd[index]),
        "segmentation": mask if isinstance(mask, dict) else list(mask or ()),
    }


def _for_kind(results: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Leave boxes out for masks, whose areas would otherwise be taken from the boxes."""
    left_out = "bbox" if kind == "seg" else "segmentation"
    return [{key: value for key, value in result.items() if key != left_out} for result in results]


def _percent(value: float) -> float | None:
    """Turn a fraction into percent; None for the −1 that pycocotools writes for undefined."""
    return 100 * float(value) if value >= 0 and math.isfinite(value) else None
