"""Collects the objects of one image, and counts those that can't be carried; gathers the images of files beside them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pretrain.core.errors import DataError
from transfer.arrange.folder import Folder
from transfer.arrange.items import Box, Export, Item, Thing
from transfer.datasets import cocomasks
from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import Mask
from transfer.detection.masks import encode, in_image


class Collector:
    """The objects of one image."""

    def __init__(self, where: str, dropped: Dropped) -> None:
        """Start without objects.

        Args:
            where: What names the image in messages.
            dropped: Counts what is left out.
        """
        self._where, self._dropped = where, dropped
        self.things: list[Thing] = []

    def drop(self, what: str) -> None:
        """Count something that can't be carried, such as `rotated boxes`."""
        self._dropped.add(what, self._where)

    def box(self, name: str, box: Box, **more: Any) -> None:
        """Add an object of which only the box is known; one without area is counted instead."""
        if box[2] <= box[0] or box[3] <= box[1]:
            self.drop("boxes without area")
        else:
            self.things.append(Thing(name, box, **more))

    def shape(self, name: str, segmentation: Any, box: Box | None = None, **more: Any) -> None:
        """Add an object with COCO's segmentation: polygons or a run-length encoding; its box follows from that if not given.

        Raises:
            DataError: If it isn't a segmentation.
        """
        try:
            mask = cocomasks.usable(segmentation)
        except ValueError as error:
            raise DataError(f"an object of {self._where} has no valid outline", seen=error) from None
        if mask is None and box is None:
            self.drop("outlines of fewer than 3 points")
        else:
            self.box(name, box or box_of(mask), mask=mask, **more)

    def pixels(self, name: str, mask: NDArray[np.bool_], **more: Any) -> None:
        """Add an object from its mask (H, W) of the image's size."""
        if not mask.any():
            self.drop("masks without a pixel")
            return
        self.shape(name, encode(mask.astype(np.uint8)), **more)


def gathered(folder: Folder, ending: str, item_of: Callable[[str], Item | None], dropped: Dropped) -> Export:
    """Read the objects of every image that has a file of its own, and count the images without one.

    Args:
        folder: The export.
        ending: That of the files.
        item_of: Reads a file; None if it is of no image.
        dropped: Counts what is left out.
    """
    items = [item for path in folder.ending(ending) if (item := item_of(path)) is not None]
    for image in sorted(set(folder.images) - {item.image for item in items}):
        dropped.add("images without a file of annotations", image)
    classes = sorted({thing.name for item in items for thing in item.things})
    return Export("objects", tuple(items), tuple(classes), dropped)


def box_of(mask: Mask | None) -> Box:
    """Compute the box around polygons or a run-length encoding."""
    assert mask is not None, "a mask was checked before"
    if isinstance(mask, dict):
        x, y, width, height = map(float, coco_mask.toBbox(mask))
        return x, y, x + width, y + height
    points = np.concatenate([polygon.reshape(-1, 2) for polygon in mask])
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return left, top, right, bottom


def area_of(thing: Thing, width: int, height: int) -> float:
    """Compute an object's area in square pixels: as its export says, or of its mask, or of its box."""
    if thing.area is not None:
        return thing.area
    if thing.mask is None:
        return (thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1])
    return float(in_image(thing.mask, height, width).sum())
