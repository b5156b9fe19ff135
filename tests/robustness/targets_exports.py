"""Fuzz targets: the formats of `bench data arrange`, each given bytes as one file of an otherwise healthy tiny export.

A target arranges the export and reads what was made. It accepts `BenchError`, and nothing half in the place of the new folder;
anything else that escapes is a bug. `SEEDS` are healthy files.
"""

import atexit
import base64
import functools
import io
import json
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pretrain.core.errors import BenchError
from transfer.arrange import recognise
from transfer.arrange.work import Wanted, arrange_as
from transfer.datasets import cityscapes, coco, imagefolder, voc

WIDTH, HEIGHT = 24, 16
READERS: dict[str, Callable[[Path], object]] = {
    "coco": lambda root: coco.read(root, masks=False),
    "voc": voc.read,
    "cityscapes": cityscapes.read,
    "imagefolder": imagefolder.read,
}


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@functools.cache
def folder() -> Path:
    """Where the exports lie; gone when the process ends."""
    made = Path(tempfile.mkdtemp(prefix="bench-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


PICTURE = encoded(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
IDS = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 3
COLOURED = encoded(np.stack([IDS == 1, IDS == 2, IDS > 3], axis=2).astype(np.uint8) * 128)
OUTLINE = [[2, 3], [20, 3], [20, 12]]


def coco_json() -> bytes:
    masks: list[object] = [[[2, 3, 20, 3, 20, 12]], {"size": [HEIGHT, WIDTH], "counts": [100, 20, HEIGHT * WIDTH - 120]}, []]
    annotations = [
        {
            "id": at,
            "image_id": at % 2,
            "category_id": 7,
            "bbox": [2, 3, 18, 9],
            "segmentation": mask,
            "iscrowd": at % 2,
            "attributes": {"rotation": 0},
        }
        for at, mask in enumerate(masks)
    ]
    images = [{"id": at, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT} for at, name in enumerate("ab")]
    return json.dumps(
        {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "cat", "supercategory": "pets"}]}
    ).encode()


def datumaro() -> bytes:
    kinds = (
        {"type": "bbox", "bbox": [1.5, 2, 4, 6], "attributes": {"rotation": 0}},
        {"type": "polygon", "points": [10.0, 5.0, 20.0, 5.0, 10.0, 15.0]},
        {"type": "mask", "rle": {"size": [HEIGHT, WIDTH], "counts": [5, 3, HEIGHT * WIDTH - 8]}},
        {"type": "label"},
    )
    annotations = [{"id": number, "label_id": number % 2, **kind} for number, kind in enumerate(kinds)]
    items = [
        {"id": name, "image": {"path": f"{name}.png", "size": [HEIGHT, WIDTH]}, "annotations": annotations} for name in "ab"
    ]
    categories = {"label": {"labels": [{"name": "dog", "parent": ""}, {"name": "cat", "parent": ""}]}}
    return json.dumps({"info": {}, "categories": categories, "items": items}).encode()


def cvat_xml() -> bytes:
    box = '<box label="cat" xtl="1.5" ytl="2" xbr="5.5" ybr="8" rotation="0"/>'
    polygon = '<polygon label="dog" points="10.0,5.0;20.0,5.0;10.0,15.0"/>'
    mask = '<mask label="cat" rle="1, 2, 3, 2" left="4" top="6" width="4" height="2"/>'
    images = "".join(
        f'<image id="0" name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{box}{polygon}{mask}<tag label="x"/></image>'
        for name in "ab"
    )
    return (
        f"<annotations><meta><job><labels><label><name>dog</name></label></labels></job></meta>{images}</annotations>".encode()
    )


def supervisely() -> bytes:
    bitmap = {"data": base64.b64encode(zlib.compress(encoded(np.full((2, 3), 255, np.uint8)))).decode(), "origin": [7, 9]}
    objects = [
        {
            "classTitle": "dog",
            "geometryType": "polygon",
            "points": {"exterior": OUTLINE, "interior": [[[15, 4], [18, 4], [18, 8]]]},
        },
        {"classTitle": "cat", "geometryType": "bitmap", "bitmap": bitmap},
        {"classTitle": "cat", "geometryType": "rectangle", "points": {"exterior": [[1, 1], [9, 9]], "interior": []}},
    ]
    return json.dumps({"size": {"height": HEIGHT, "width": WIDTH}, "tags": [], "objects": objects}).encode()


def labelme() -> bytes:
    mask = base64.b64encode(encoded(np.full((2, 3), 255, np.uint8))).decode()
    shapes = [
        {"label": "cat", "points": OUTLINE, "shape_type": "polygon", "group_id": None},
        {"label": "cat", "points": OUTLINE, "shape_type": "polygon", "group_id": 1},
        {"label": "dog", "points": OUTLINE[:2], "shape_type": "rectangle"},
        {"label": "dog", "points": OUTLINE[:2], "shape_type": "mask", "mask": mask},
    ]
    return json.dumps({"shapes": shapes, "imagePath": "a.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}).encode()


def voc_xml() -> bytes:
    box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>12</ymax></bndbox>"
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    return f"<annotation><filename>a.png</filename>{size}<object><name>cat</name>{box}</object></annotation>".encode()


def via(**also: object) -> bytes:
    shapes = [
        {"name": "rect", "x": 2, "y": 3, "width": 9, "height": 8},
        {"name": "polygon", "all_points_x": [2, 20, 20], "all_points_y": [3, 3, 12]},
        {"name": "circle", "cx": 5, "cy": 5, "r": 2},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {"class": "cat"}} for shape in shapes]
    images = {f"{name}.png123": {"filename": f"{name}.png", "size": 123, "regions": regions} for name in "ab"}
    return json.dumps({"_via_img_metadata": images, **also} if also else images).encode()


def bdd100k() -> bytes:
    labels = [
        {"category": "car", "box2d": {"x1": 1, "y1": 2, "x2": 9, "y2": 8}, "attributes": {"crowd": False}},
        {"category": "lane", "poly2d": [{"vertices": OUTLINE, "types": "LLC", "closed": False}]},
    ]
    return json.dumps([{"name": f"{name}.png", "labels": labels, "timestamp": 1} for name in "ab"]).encode()


VIA_TABLE = (
    b"#filename,file_size,region_count,region_id,region_shape_attributes,region_attributes\n"
    b'a.png,1,1,0,"{""name"":""rect"",""x"":1,""y"":2,""width"":5,""height"":6}","{""class"":""cat""}"\nb.png,1,0,0,"{}","{}"\n'
)
CUB = {
    "images.txt": b"1 a.png\n2 b.png\n",
    "image_class_labels.txt": b"1 1\n2 2\n",
    "classes.txt": b"1 001.cat\n2 002.dog\n",
    "train_test_split.txt": b"1 1\n2 0\n",
    "bounding_boxes.txt": b"1 1.0 2.0 9.0 8.0\n2 1.0 2.0 9.0 8.0\n",
}
YOLO = b"0 0.5 0.5 0.5 0.6\n1 0.2 0.2 0.7 0.2 0.7 0.9\n"
NAMES = b"path: .\ntrain: images\nkpt_shape: [1, 3]\nnames: {0: cat, 1: dog}\n"
COLOURS = b"0 0 0 sky\n128 0 0 road\n0 128 0 big car\n"
TABLE = b"filename,label,split\na.png,cat,train\nb.png,dog,val\n"
BOXES = b"filename,width,height,class,xmin,ymin,xmax,ymax\na.png,24,16,cat,1,2,9,8\nb.png,24,16,dog,1,2,9,8\n"
OTHER_BOXES = [
    b"a.png,1,2,9,8,cat\nb.png,,,,,\n",
    b"ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,cat,0.1,0.5,0.2,0.9,1\nb,dog,0,1,0,1,0\n",
    b'image_id,bbox\na,"[1.0, 2.0, 3, 4]"\nb,"[1 2 3 4]"\n',
    b"cat,1,2,9,8,a.png,24,16\ndog,1,2,9,8,b.png,24,16\n",
]
IMAGES = {f"images/{name}.png": PICTURE for name in "ab"}

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
