"""Fuzz targets: the formats of `bench data arrange`, each given bytes as one file of an otherwise healthy tiny export.

A target arranges the export and reads what was made. It accepts `BenchError`, and nothing half in the place of the new folder;
anything else that escapes is a bug. `SEEDS` are healthy files.
"""

import atexit
import functools
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pretrain.core.errors import BenchError
from transfer.arrange import recognise
from transfer.arrange.work import Wanted, arrange_as
from transfer.datasets import cityscapes, coco, imagefolder, voc

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from export_seeds import (  # noqa: E402
    BOXES,
    COLOURED,
    COLOURS,
    CUB,
    IDS,
    IMAGES,
    KITTI,
    NAMES,
    OTHER_BOXES,
    PICTURE,
    TABLE,
    VIA_TABLE,
    YOLO,
    bdd100k,
    coco_json,
    createml,
    cvat_xml,
    datumaro,
    encoded,
    label_studio,
    labelbox,
    labelme,
    supervisely,
    via,
    voc_xml,
)

READERS: dict[str, Callable[[Path], object]] = {
    "coco": lambda root: coco.read(root, masks=False),
    "voc": voc.read,
    "cityscapes": cityscapes.read,
    "imagefolder": imagefolder.read,
}


@functools.cache
def folder() -> Path:
    """Where the exports lie; gone when the process ends."""
    made = Path(tempfile.mkdtemp(prefix="bench-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


CASES: dict[str, tuple[str, str, dict[str, bytes], list[bytes]]] = {
    "arrange-coco": ("cvat_coco", "annotations/instances_default.json", IMAGES, [coco_json()]),
    "arrange-cvat": ("cvat_xml", "annotations.xml", IMAGES, [cvat_xml()]),
    "arrange-datumaro": ("datumaro", "annotations/default.json", IMAGES, [datumaro()]),
    "arrange-supervisely": (
        "supervisely",
        "d/ann/a.png.json",
        {"d/img/a.png": PICTURE, "d/img/b.png": PICTURE, "d/ann/b.png.json": supervisely(), "meta.json": b'{"classes": []}'},
        [supervisely()],
    ),
    "arrange-labelme": (
        "labelme",
        "a.json",
        {"a.png": PICTURE, "b.png": PICTURE, "b.json": labelme().replace(b"a.png", b"b.png")},
        [labelme()],
    ),
    "arrange-via": ("via", "via.json", IMAGES, [via(), via(_via_settings={})]),
    "arrange-via-table": ("via", "via.csv", IMAGES, [VIA_TABLE]),
    "arrange-label-studio": ("label_studio_json", "project.json", IMAGES, label_studio()),
    "arrange-createml": ("createml", "images/_annotations.createml.json", IMAGES, [createml()]),
    "arrange-kitti": (
        "kitti",
        "labels/a.txt",
        IMAGES | {"labels/b.txt": KITTI},
        [KITTI, KITTI.replace(b"-1.62", b"-1.62 0.9")],
    ),
    "arrange-labelbox": ("labelbox", "export.ndjson", IMAGES, labelbox()),
    "arrange-bdd100k": ("bdd100k", "det_train.json", IMAGES, [bdd100k()]),
    "arrange-cub": ("cub", "images.txt", IMAGES | CUB, [CUB["images.txt"]]),
    "arrange-cub-boxes": ("cub_boxes", "bounding_boxes.txt", IMAGES | CUB, [CUB["bounding_boxes.txt"]]),
    "arrange-yolo": ("yolo", "labels/a.txt", IMAGES | {"classes.txt": b"cat\ndog\n", "labels/b.txt": YOLO}, [YOLO]),
    "arrange-yolo-names": ("yolo", "data.yaml", IMAGES | {"labels/a.txt": YOLO[:18], "labels/b.txt": YOLO[:18]}, [NAMES]),
    "arrange-visdrone": (
        "visdrone",
        "annotations/a.txt",
        IMAGES | {"annotations/b.txt": b"1,2,3,4,1,1,0,0\n"},
        [b"1,2,3,4,1,1,0,0\n0,0,9,9,0,0,0,0\n"],
    ),
    "arrange-voc": ("voc_xml", "images/a.xml", IMAGES | {"images/b.xml": voc_xml()}, [voc_xml()]),
    "arrange-maps": (
        "masks",
        "masks/a.png",
        IMAGES | {"masks/b.png": encoded(IDS), "classes.txt": b"sky\nroad\ncar\n"},
        [encoded(IDS), encoded(np.stack([IDS] * 3, axis=2)), encoded(IDS.astype(np.uint16))],
    ),
    "arrange-colours": (
        "masks",
        "label_colors.txt",
        IMAGES | {f"masks/{name}.png": COLOURED for name in "ab"},
        [COLOURS, b"name,r,g,b\nsky,0,0,0\nroad,128,0,0\ncar,0,128,0\n"],
    ),
    "arrange-table": (
        "csv_labels",
        "labels.csv",
        IMAGES,
        [
            *(TABLE, TABLE.replace(b",", b";"), TABLE.replace(b",", b"\t")),
            b'"filename","label"\n"a.png","cat"\n"b.png","cat"\n',
            b"image,cat,dog\na,1.0,0.0\nb,0,1\n",
        ],
    ),
    "arrange-lines": (
        "csv_labels",
        "labels.jsonl",
        IMAGES,
        [b'{"file_name": "a.png", "label": 0}\n{"file_name": "b.png", "label": 1, "split": "val"}\n'],
    ),
    "arrange-boxes": ("csv_boxes", "boxes.csv", IMAGES, [BOXES, *OTHER_BOXES]),
    "arrange-lists": (
        "txt_lists",
        "train.txt",
        {f"{name}/{name}{at}.png": PICTURE for name in "ab" for at in "12"} | {"val.txt": b"a/a2\nb/b2.png\n"},
        [b"a/a1.png 0\nb/b1.png 1\n", b"a/a1\nb/b1\n", b"a1.png,a\nb1.png;b\n"],
    ),
    "arrange-folders": (
        "class_folders",
        "a/new.png",
        {f"{name}/{name}{at}.png": PICTURE for name in "ab" for at in "12"},
        [PICTURE],
    ),
}
"""Target → format, the file that the bytes become, the other files, healthy contents of it."""


@functools.cache
def root_of(target: str) -> Path:
    """Write the healthy files of an export."""
    root = folder() / target
    _, path, files, seeds = CASES[target]
    for name, content in {path: seeds[0], **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def read(target: str, data: bytes) -> None:
    """Arrange an export with these bytes in it, and read what was made."""
    root, made = root_of(target), folder() / "made"
    name, path, _, _ = CASES[target]
    (root / path).write_bytes(data)
    recognise(root)
    shutil.rmtree(made, ignore_errors=True)
    for val in ("0.5", None):
        try:
            done = arrange_as(name, root, made, Wanted(val=val), lambda *_: None)
        except BenchError as error:
            assert not made.exists()
            if "its own validation images" in str(error):
                continue
            return
        try:
            READERS[done.layout](made)
        except BenchError:
            return
        return


TARGETS: dict[str, Callable[[bytes], None]] = {target: functools.partial(read, target) for target in CASES}
SEEDS: dict[str, list[bytes]] = {target: seeds for target, (_, _, _, seeds) in CASES.items()}
