"""The data as Detectron2 takes it: descriptions of images and their objects, in its catalogue."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pretrain.core.errors import DataError
from transfer.datasets.objects import DetectionData, Picture
from transfer.tasks.detection import DetectionSettings

XYXY_ABS = 0
"""`BoxMode.XYXY_ABS`: corners in pixels."""


@contextlib.contextmanager
def registered(data: DetectionData, settings: DetectionSettings) -> Iterator[tuple[str, str]]:
    """Register the images in Detectron2's catalogue, under names of their own; remove them afterwards.

    Yields the names of the training and the validation set.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog

    train, val = (f"bench_{data.ref.name}_{data.ref.fingerprint}_{split}" for split in ("train", "val"))
    with contextlib.ExitStack() as undo:
        for name, pictures, truth in ((train, data.train, True), (val, data.val, False)):
            DatasetCatalog.register(name, partial(described, pictures, truth=truth, masks=settings.masks))
            undo.callback(DatasetCatalog.remove, name)
            MetadataCatalog.get(name).set(thing_classes=list(data.classes))
            undo.callback(MetadataCatalog.remove, name)
        yield train, val


def described(pictures: Sequence[Picture], *, truth: bool, masks: bool) -> list[dict[str, Any]]:
    """Describe images as Detectron2 does: `truth` with their objects, `masks` with the objects' masks."""
    described: list[dict[str, Any]] = []
    for picture in pictures:
        size = {"height": picture.height, "width": picture.width}
        described.append({"file_name": str(picture.path), "image_id": picture.identity, **size})
        if truth:
            described[-1]["annotations"] = _annotations(picture, masks=masks)
    return described


def _annotations(picture: Picture, *, masks: bool) -> list[dict[str, Any]]:
    annotations = []
    for index, (box, label) in enumerate(zip(picture.boxes.tolist(), picture.labels.tolist(), strict=True)):
        annotation = {"bbox": box, "bbox_mode": XYXY_ABS, "category_id": label, "iscrowd": int(picture.crowd[index])}
        if masks and picture.masks is not None:
            mask = picture.masks[index]
            if mask is None:
                continue  # as Detectron2's own reader does with an object without a valid mask
            annotation["segmentation"] = mask if isinstance(mask, dict) else list(mask)
        annotations.append(annotation)
    return annotations


def has_bit_masks(picture: Picture) -> bool:
    """Tell whether a mask to train on is no polygon."""
    if picture.masks is None:
        return False
    return any(isinstance(mask, dict) for mask, kept in zip(picture.masks, picture.trainable, strict=True) if kept)


class Checked:
    """One of Detectron2's mappers, with errors that name the image."""

    def __init__(self, mapper: Callable[[dict[str, Any]], Any]) -> None:
        self._mapper = mapper

    def __call__(self, description: dict[str, Any]) -> Any:
        """Map an image; raises DataError if it can't be read or is not of the annotated size."""
        try:
            return self._mapper(description)
        except Exception as error:  # on broken files Pillow raises anything
            seen = " ".join(str(error).split())[:200]
            raise DataError(f"can't read the image {description['file_name']}", seen=seen) from None
