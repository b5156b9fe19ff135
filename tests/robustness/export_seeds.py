"""Healthy files of the exports that `targets_exports` damages, as each tool writes them."""

import base64
import io
import json
import zlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 24, 16


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


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


def label_studio() -> list[bytes]:
    """Tasks with shapes, tasks with choices, and JSON-MIN."""
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    box = {"x": 10, "y": 20.5, "width": 50, "height": 40, "rotation": 0, "rectanglelabels": ["cat"]}
    outline = {"points": OUTLINE, "closed": True, "polygonlabels": ["dog"]}
    shapes = [{"type": "rectanglelabels", "value": box, **size}, {"type": "polygonlabels", "value": outline, **size}]
    chosen = [{"type": "choices", "from_name": "class", "value": {"choices": ["cat"]}}]

    def tasks(result: list[object]) -> bytes:
        said = [{"was_cancelled": False, "ground_truth": True, "result": result}]
        return json.dumps([{"id": 1, "data": {"image": f"/data/upload/1/{n}.png"}, "annotations": said} for n in "ab"]).encode()

    entries = [
        {"image": f"s3://x/{n}.png?d=1", "id": 1, "label": [box | size], "annotation_id": 1, "lead_time": 1} for n in "ab"
    ]
    return [tasks([*shapes]), tasks([*chosen]), json.dumps(entries).encode()]


def createml() -> bytes:
    box = {"label": "cat", "coordinates": {"x": 9.5, "y": 8, "width": 12, "height": 10}}
    return json.dumps([{"image": f"{name}.png", "annotations": [box, box | {"label": "dog"}]} for name in "ab"]).encode()


def labelbox() -> list[bytes]:
    """Objects, a line for each image; classes, as a list."""
    box = {"name": "cat", "bounding_box": {"top": 2, "left": 3, "height": 9, "width": 12.5}}
    outline = {"name": "dog", "polygon": [{"x": x, "y": y} for x, y in OUTLINE]}
    chosen = {"name": "class", "radio_answer": {"name": "cat"}}

    def rows(objects: list[object], classes: list[object]) -> list[dict[str, object]]:
        label = {"performance_details": {"skipped": False}, "annotations": {"objects": objects, "classifications": classes}}
        return [
            {
                "data_row": {"external_id": f"{name}.png", "row_data": "https://x/y?z=1"},
                "media_attributes": {"height": HEIGHT, "width": WIDTH},
                "projects": {"p": {"name": "p", "labels": [label]}},
            }
            for name in "ab"
        ]

    objects = [{"title": "cat", "bbox": box["bounding_box"]}, {"title": "dog", "polygon": outline["polygon"]}]
    said = {"objects": objects, "classifications": [{"title": "class", "answer": {"title": "cat"}}]}
    former = [{"External ID": f"{name}.png", "Labeled Data": "https://x/y", "Skipped": False, "Label": said} for name in "ab"]
    today = [rows([box, outline], []), rows([], [chosen])]
    return ["\n".join(map(json.dumps, today[0])).encode(), json.dumps(today[1]).encode(), json.dumps(former).encode()]


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
KITTI = (
    b"Car 0.00 1 -1.57 2.00 3.00 20.00 12.00 1.5 1.6 3.9 1.0 1.7 20.1 -1.62\n"
    b"DontCare -1 -1 -10 5 6 9 9 -1 -1 -1 -1000 -1000 -1000 -10\n"
)
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
