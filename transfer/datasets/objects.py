"""What the VOC and COCO readers return: images with their objects, and notes on what was left out.

Shapes: M objects in an image. Boxes are (left, top, right, bottom) in continuous pixels: all of a 10-pixel image is
(0, 0, 10, 10).
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pretrain.core.errors import DataError
from pretrain.images.decode import BROKEN, opened, rgb, undecodable
from transfer.record import Data

LONGEST_SIDE = 65_535
"""Longest side of an image, in pixels: what JPEG's header can hold."""
FARTHEST = 1_000_000.0
"""Largest distance of a coordinate from an image's corner, in pixels; float32 still tells neighbours apart there."""
TURNED = (5, 6, 7, 8)
"""EXIF orientations with width and height exchanged."""

Mask = tuple[NDArray[np.float64], ...] | dict[str, Any]
"""Polygons, each x0, y0, x1, y1, ... in pixels, at least 3 points; or a compressed run-length encoding."""


@dataclass(frozen=True)
class Picture:
    """An image and its objects."""

    path: Path
    identity: str | int
    """The data's own name of the image: file stem (VOC) or image id (COCO)."""
    width: int
    """Width in pixels, as annotated."""
    height: int
    """Height in pixels, as annotated."""
    boxes: NDArray[np.float32]
    """(M, 4)."""
    labels: NDArray[np.int64]
    """(M,), indices into the classes."""
    difficult: NDArray[np.bool_]
    """(M,), objects that VOC's metric neither rewards nor punishes."""
    crowd: NDArray[np.bool_]
    """(M,), COCO's crowd regions: never trained on."""
    masks: tuple[Mask | None, ...] | None
    """M masks, None for an object that has none; None for all where none are trained or measured."""
    measures: NDArray[np.float64] | None = None
    """(M, 5), x, y, width, height and area as the file has them, which COCO's own metric takes; None for VOC."""

    @property
    def trainable(self) -> NDArray[np.bool_]:
        """Select the objects (M,) to train on: all but crowd regions, and where masks are trained, those without one.

        Difficult ones are kept, as in Detectron2.
        """
        return ~self.crowd if self.masks is None else ~self.crowd & self.masked

    @property
    def masked(self) -> NDArray[np.bool_]:
        """Select the objects (M,) that have a mask."""
        return np.array([mask is not None for mask in self.masks or (None,) * len(self.labels)], dtype=bool)

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Select the objects (M,) of whose boxes nothing is inside the image."""
        left, top, right, bottom = self.boxes.T
        return np.asarray((right <= 0) | (bottom <= 0) | (left >= self.width) | (top >= self.height))

    @property
    def reaches_out(self) -> NDArray[np.bool_]:
        """Select the objects (M,) of whose boxes a part, not all, is outside the image."""
        left, top, right, bottom = self.boxes.T
        return np.asarray((left < 0) | (top < 0) | (right > self.width) | (bottom > self.height)) & ~self.outside


@dataclass(frozen=True)
class DetectionData:
    """A detection data set."""

    ref: Data
    """Description of the data for the record."""
    classes: tuple[str, ...]
    """Name of each class, in the order of the labels."""
    train: tuple[Picture, ...]
    """Images with at least one object to train on."""
    val: tuple[Picture, ...]
    """Images the metric is computed on."""
    category_ids: tuple[int, ...] | None = None
    """COCO's own id of each class, whatever it is; None for VOC."""
    notes: tuple[str, ...] = ()
    """Remarks on what was left out, and how often."""

    def limited(self, images: int | None) -> Self:
        """Keep at most so many validation images, evenly spaced; None: all."""
        if images is None or images >= len(self.val):
            return self
        kept = tuple(self.val[index * len(self.val) // images] for index in range(images))
        note = f"evaluated on {images} of {len(self.val)} validation images"
        ref = self.ref.replace({"val": images})
        return dataclasses.replace(self, val=kept, ref=ref, notes=(*self.notes, note))


def with_objects(pictures: tuple[Picture, ...]) -> tuple[Picture, ...]:
    """Select the images that have something to train on."""
    return tuple(picture for picture in pictures if picture.trainable.any())


def image_size(path: Path) -> tuple[int, int]:
    """Read width and height in pixels, turned as the EXIF data say, from the header alone.

    Raises:
        DataError: If it is no image that can be read; names the path.
    """
    with opened(path, str(path)) as image:
        return (image.height, image.width) if _turned(image, path) else image.size


def _turned(image: Image.Image, path: Path) -> bool:
    try:
        return image.getexif().get(ExifTags.Base.Orientation) in TURNED
    except BROKEN as error:
        raise undecodable(str(path), error) from None


def read_image(picture: Picture) -> Image.Image:
    """Read an image in RGB, turned as its EXIF data say.

    NOTE: of 16-bit grey images Detectron2 clips all above 255 to white; here, as in `pretrain.images`, the high byte is kept.

    Raises:
        DataError: If it can't be read, or its size is not the annotated one; names the path.
    """
    return read_annotated(picture.path, (picture.width, picture.height))


def read_annotated(path: Path, annotated: tuple[int, int]) -> Image.Image:
    """Read an image of the annotated width and height, as `read_image` does."""
    with opened(path, str(path)) as file:
        image = rgb(file, str(path), upright=True)
    require_size(path, annotated, image.size)
    return image


def require_size(path: Path, annotated: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse an image whose width and height are not the annotated ones.

    Raises:
        DataError: If they aren't; names the path.
    """
    if size != annotated:
        allowed = f"{annotated[0]} × {annotated[1]}, as annotated"
        seen, fix = f"{size[0]} × {size[1]} pixels", "correct the size in its annotation"
        if size == annotated[::-1]:
            fix = _exchanged(path)
        raise DataError(f"{path} has another size than annotated", seen=seen, allowed=allowed, fix=fix)


def _exchanged(path: Path) -> str:
    """Say what to do about sides that are exchanged."""
    with opened(path, str(path)) as image:
        if not _turned(image, path):
            return "exchange width and height in its annotation"
    return (
        "its EXIF orientation turns the picture, as viewers show it: annotate it so, "
        "or, if the boxes are of the stored pixels, remove the orientation (exiftool -Orientation= FILE)"
    )
