"""The last step of the VOC and COCO readers: from their pictures to a detection data set."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from transfer.datasets import Tell
from transfer.datasets.objects import DetectionData, Picture, with_objects
from transfer.datasets.truths import settle
from transfer.datasets.truths.detection import DETECTION, Objects
from transfer.record import Data


def assemble(
    root: Path,
    layout: Literal["voc", "coco"],
    *,
    fingerprint: str,
    classes: Sequence[str],
    splits: Sequence[str],
    val_split: str,
    train: tuple[Picture, ...],
    val: tuple[Picture, ...],
    category_ids: tuple[int, ...] | None = None,
    notes: tuple[str, ...],
    max_val_images: int | None,
    tell: Tell,
) -> DetectionData:
    """Leave out training images without objects, limit the validation images, and describe the data for the record.

    Args:
        root: Folder of the data; its name becomes the data's.
        layout: Name of the layout.
        fingerprint: Digest of images and annotations.
        classes: Names, in the order of the labels.
        splits: Names of the training splits, for messages.
        val_split: Name of the validation split, for messages.
        train: Training images.
        val: Validation images.
        category_ids: COCO's own id of each class.
        notes: What the reader left out.
        max_val_images: Validation images at most, evenly spaced; None: all.
        tell: Called with the errors of degenerate truths, such as that no training image has an object.
    """
    trainable = with_objects(train)
    if len(trainable) < len(train):
        notes += (f"{len(train) - len(trainable)} training images without objects left out",)
    ref = Data(
        name=root.resolve().name,
        layout=layout,
        fingerprint=fingerprint,
        train=len(trainable),
        val=len(val),
        classes=len(classes),
    )
    data = DetectionData(ref, tuple(classes), trainable, val, category_ids, notes).limited(max_val_images)
    truth = Objects(root, data.classes, tuple(splits), train, data.val, val_split)
    return dataclasses.replace(data, notes=(*data.notes, *settle(DETECTION, truth, tell)))
