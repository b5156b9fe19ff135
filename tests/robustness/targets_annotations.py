"""Fuzz targets: the readers of annotations, each given bytes as one file of an otherwise healthy tiny data set.

A target reads the data set and then uses all that is read lazily: images, masks, label maps, the metric's truth. It
accepts `BenchError`; anything else that escapes is a bug. `SEEDS` are healthy files, from which a fuzzer starts.
"""

import atexit
import functools
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from pretrain.core.errors import BenchError
from transfer.datasets import cityscapes, coco, voc
from transfer.datasets.objects import DetectionData
from transfer.detection import masks as mask_ops
from transfer.detection.coco_metric import coco_metrics
from transfer.detection.found import Found
from transfer.engines.torchvision.data import training_sample

WIDTH, HEIGHT = 24, 16
SHORT, LONG = 16, 32
NAMES = ("a", "b")


@functools.cache
def folder() -> Path:
    """Where the data sets lie; gone when the process ends."""
    made = Path(tempfile.mkdtemp(prefix="bench-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def image(suffix: str = "PNG") -> bytes:
    """A healthy image."""
    return encoded(np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8), suffix)


def encoded(pixels: np.ndarray, suffix: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, suffix)
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def voc_xml(*objects: tuple[str, str, str, str, str], size: str = f"<width>{WIDTH}</width><height>{HEIGHT}</height>") -> bytes:
    inside = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, x, y, right, bottom in objects
    )
    return f"<annotation><size>{size}</size>{inside}</annotation>".encode()


@functools.cache
def voc_root() -> Path:
    files = {f"VOC2007/JPEGImages/{name}.jpg": image("JPEG") for name in NAMES}
    files |= {f"VOC2007/Annotations/{name}.xml": voc_xml(("cat", "2", "3", "20", "12")) for name in NAMES}
    files |= {f"VOC2007/ImageSets/Main/{split}.txt": b"a\nb\n" for split in ("trainval", "test")}
    return write(folder() / "voc", files)


def coco_json() -> bytes:
    pixels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    pixels[4:9, 5:15] = 1
    compressed = coco_mask.encode(pixels)
    runs = {"size": [HEIGHT, WIDTH], "counts": [100, 20, HEIGHT * WIDTH - 120]}
    segmentations: list[object] = [[[2, 3, 20, 3, 20, 12, 2.5, 12]], runs]
    segmentations += [{"size": [HEIGHT, WIDTH], "counts": compressed["counts"].decode()}]
    annotations = [
        {
            "id": at,
            "image_id": at % 2,
            "category_id": 7,
            "bbox": [2, 3, 18.5, 9],
            "area": 160,
            "iscrowd": at // 2,
            "segmentation": each,
        }
        for at, each in enumerate(segmentations)
    ]
    images = [{"id": at, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT} for at, name in enumerate(NAMES)]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 7, "name": "cat"}]}
    return json.dumps(content).encode()


@functools.cache
def coco_root() -> Path:
    files = {f"{split}/{name}.png": image() for split in ("train2017", "val2017") for name in NAMES}
    return write(folder() / "coco", files | {"annotations/instances_val2017.json": coco_json()})


def label_map() -> np.ndarray:
    return np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 19


@functools.cache
def cityscapes_root() -> Path:
    stems = [f"{split}/town/{name}" for split in cityscapes.SPLITS for name in NAMES]
    files = {f"leftImg8bit/{stem}{cityscapes.IMAGE_SUFFIX}": image() for stem in stems}
    files |= {f"gtFine/{stem}{cityscapes.LABEL_SUFFIX}": encoded(label_map()) for stem in stems}
    return write(folder() / "cityscapes", files)


def palette_map() -> bytes:
    picture = Image.fromarray(label_map()).convert("P")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def use(data: DetectionData) -> None:
    """What training and the metric do with every object."""
    masks = data.category_ids is not None
    for picture in data.train:
        sample = training_sample(picture, SHORT, LONG, True, masks=masks)
        mask_ops.crop(sample.masks, sample.target.boxes[: len(sample.masks)], 7)
    if not masks:
        return
    found = [Found(each.boxes, np.full(len(each.boxes), 0.5, np.float32), each.labels, None) for each in data.val]
    coco_metrics(found, data, masks=False)
    for picture in data.val:
        for mask in (each for each in picture.masks or () if each is not None):
            mask_ops.in_image(mask, picture.height, picture.width)


def read_voc(data: bytes) -> None:
    """The bytes are the annotation of an image that is trained on and evaluated."""
    root = voc_root()
    (root / "VOC2007/Annotations/a.xml").write_bytes(data)
    try:
        use(voc.read(root))
    except BenchError:
        return


def read_coco(data: bytes) -> None:
    """The bytes are the annotations of both splits."""
    root = coco_root()
    for split in ("train2017", "val2017"):
        (root / f"annotations/instances_{split}.json").write_bytes(data)
    try:
        use(coco.read(root))
    except BenchError:
        return


def read_cityscapes(data: bytes) -> None:
    """The bytes are a label map."""
    root = cityscapes_root()
    (root / "classes.json").unlink(missing_ok=True)
    (root / f"gtFine/train/town/a{cityscapes.LABEL_SUFFIX}").write_bytes(data)
    try:
        for pair in cityscapes.read(root).train:
            with Image.open(pair.label) as label:
                torch.from_numpy(np.array(label))
    except BenchError:
        return


def read_classes(data: bytes) -> None:
    """The bytes are `classes.json`."""
    root = cityscapes_root()
    (root / f"gtFine/train/town/a{cityscapes.LABEL_SUFFIX}").write_bytes(encoded(label_map()))
    (root / "classes.json").write_bytes(data)
    try:
        cityscapes.read(root)
    except BenchError:
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    "voc": read_voc,
    "coco": read_coco,
    "cityscapes": read_cityscapes,
    "cityscapes-classes": read_classes,
}
SEEDS: dict[str, list[bytes]] = {
    "voc": [
        voc_xml(("cat", "2", "3", "20", "12"), ("dog", "5", "5", "5", "9")),
        voc_xml(("cat", "-4", "1e1", "500", "12.5"), size=""),
    ],
    "coco": [coco_json()],
    "cityscapes": [encoded(label_map()), palette_map()],
    "cityscapes-classes": [b'{"num_classes": 19, "ignore": 255, "present_trainIds": {"0": "road", "18": "sky"}}'],
}
