"""The Cityscapes layout with classes of one's own: `leftImg8bit/`, `gtFine/` with new label maps, and `classes.json`."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images.decode import opened
from transfer.arrange.folder import TRAIN, VAL
from transfer.arrange.items import Export, Item
from transfer.arrange.maps import BACKGROUND, LARGEST_ID
from transfer.arrange.naming import file_names
from transfer.arrange.placing import Place
from transfer.arrange.placing import write as put
from transfer.datasets.cityscapes import CLASSES_FILE, IMAGE_SUFFIX, IMAGES, LABEL_SUFFIX, LABELS
from transfer.datasets.segmentation import IGNORE
from transfer.datasets.writing import classes_json
from transfer.detection.masks import in_image

HOLDS = ("maps", "objects")
CITY = "all"
"""The one folder below each split."""
STEM = IMAGE_SUFFIX.partition(".")[0]
JPEG = (".jpg", ".jpeg")


def write(export: Export, root: Path, target: Path, place: Place) -> list[str]:
    """Write both splits. Of objects, a later one covers an earlier one, and what none covers is the background.

    Raises:
        DataError: If a label map has another size than its image, or there are too many classes.
    """
    classes = export.classes if export.ids or BACKGROUND in export.classes else (BACKGROUND, *export.classes)
    if not 2 <= len(classes) <= LARGEST_ID:
        raise DataError("label maps have another number of classes", seen=len(classes), allowed=f"2 to {LARGEST_ID}")
    names = file_names(item.image for item in export.items)
    for split in (TRAIN, VAL):
        items = [item for item in export.items if item.split == split]
        # All images of a split end alike; how a file is coded, its readers see from its content.
        ending = ".jpg" if all(Path(item.image).suffix.lower() in JPEG for item in items) else ".png"
        for item in items:
            name = names[item.image].removesuffix(STEM)
            place(root / item.image, target / IMAGES / split / CITY / f"{name}{STEM}{ending}")
            labels = _read(export, root, item) if export.ids else _drawn(export, item, classes)
            put(target / LABELS / split / CITY / f"{name}{LABEL_SUFFIX}", _png(labels))
    put(target / CLASSES_FILE, classes_json(classes))
    return [] if export.ids else ["label maps are drawn from the objects: later ones over earlier ones, the rest is background"]


def _read(export: Export, root: Path, item: Item) -> NDArray[np.uint8]:
    assert export.ids is not None, "maps come with a reader"
    assert item.label_map is not None, "and with their paths"
    labels = export.ids(root / item.label_map)
    with opened(root / item.image, str(root / item.image)) as image:
        size = image.size
    if labels.shape != size[::-1]:
        seen = f"{labels.shape[1]} × {labels.shape[0]} and {size[0]} × {size[1]}"
        raise DataError(f"{root / item.label_map} has another size than its image", seen=seen, allowed="one size")
    return labels


def _drawn(export: Export, item: Item, classes: tuple[str, ...]) -> NDArray[np.uint8]:
    assert item.size is not None, "objects come with their image's size"
    width, height = item.size
    labels = np.full((height, width), classes.index(BACKGROUND), dtype=np.uint8)
    for thing in item.things:
        if thing.mask is None:
            export.dropped.add("boxes without an outline", item.image)
        else:
            labels[in_image(thing.mask, height, width) > 0] = IGNORE if thing.crowd else classes.index(thing.name)
    return labels


def _png(labels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    return file.getvalue()
