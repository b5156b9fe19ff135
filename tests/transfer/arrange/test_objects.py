"""Exports of objects: what each tool writes becomes the same boxes, masks and classes in a layout that is read here."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer.arrange.work import Wanted, arrange
from transfer.datasets.objects import DetectionData, Picture
from transfer.detection.masks import in_image

WIDTH, HEIGHT = 40, 30
Run = Callable[..., Any]
Lay = Callable[[dict[str, Any]], Path]
BOXES = {"masks": False}
TRIANGLE = [10.0, 5.0, 30.0, 5.0, 10.0, 25.0]


def boxes(picture: Picture, data: DetectionData) -> dict[str, list[float]]:
    """Class → its box, of an image whose classes differ."""
    return {data.classes[label]: box.tolist() for label, box in zip(picture.labels, picture.boxes, strict=True)}


def by_name(pictures: tuple[Picture, ...]) -> dict[str, Picture]:
    return {picture.path.name: picture for picture in pictures}


def coco_file(*names: str, **more: Any) -> dict[str, Any]:
    """A file with a triangle and a box in every image."""
    images = [{"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT} for number, name in enumerate(names)]
    categories = [{"id": 3, "name": "cat", "supercategory": "pets"}, {"id": 7, "name": "dog", "supercategory": "pets"}]
    annotations = []
    for image in images:
        first = {
            "image_id": image["id"],
            "category_id": 7,
            "bbox": [10, 5, 20, 20],
            "segmentation": [TRIANGLE],
            "area": 200,
            "iscrowd": 0,
        }
        second = {
            "image_id": image["id"],
            "category_id": 3,
            "bbox": [1.5, 2, 4, 6],
            "segmentation": [],
            "area": 24,
            "iscrowd": 0,
        }
        annotations += [first, second]
    return {"images": images, "annotations": annotations, "categories": categories} | more


def test_roboflow_coco_keeps_its_splits_and_drops_the_super_category(run: Run) -> None:
    categories = [{"id": 0, "name": "pets", "supercategory": "none"}, *coco_file()["categories"]]
    files: dict[str, Any] = {}
    for split, name in (("train", "a.rf.1"), ("valid", "b.rf.2"), ("test", "c.rf.3")):
        files |= {
            f"{split}/{name}.jpg": None,
            f"{split}/_annotations.coco.json": coco_file(f"{name}.jpg", categories=categories),
        }
    data, done = run(files, "roboflow_coco", reading=BOXES)
    assert data.classes == ("cat", "dog")
    assert [picture.path.name for picture in (*data.train, *data.val)] == ["a.rf.1.jpg", "b.rf.2.jpg"]
    assert boxes(data.val[0], data) == {"dog": [10, 5, 30, 25], "cat": [1.5, 2, 5.5, 8]}
    assert done.counts == {"images": (1, 1), "objects": (2, 2), "classes": (2, 2)}
    assert any("1 test images left out" in note for note in done.notes)
    assert any("super category 'pets'" in note for note in done.notes)


def test_a_roboflow_class_named_as_the_project_stays_where_it_has_objects(run: Run) -> None:
    categories = [{"id": 3, "name": "pets", "supercategory": "none"}, {"id": 7, "name": "dog", "supercategory": "pets"}]
    files: dict[str, Any] = {}
    for split in ("train", "valid"):
        files |= {
            f"{split}/{split}.jpg": None,
            f"{split}/_annotations.coco.json": coco_file(f"{split}.jpg", categories=categories),
        }
    data, _ = run(files, "roboflow_coco", reading=BOXES)
    assert data.classes == ("pets", "dog")


def test_a_class_named_as_its_own_super_category_stays_without_objects(run: Run) -> None:
    categories = [*coco_file()["categories"], {"id": 9, "name": "person", "supercategory": "person"}]
    files: dict[str, Any] = {}
    for split in ("train", "valid"):
        files |= {
            f"{split}/{split}.jpg": None,
            f"{split}/_annotations.coco.json": coco_file(f"{split}.jpg", categories=categories),
        }
    data, _ = run(files, "roboflow_coco", reading=BOXES)
    assert data.classes == ("cat", "dog", "person")


def test_cvat_coco_is_divided_as_asked_and_its_masks_are_objects(run: Run) -> None:
    names = [f"{number}.png" for number in range(10)]
    runs = {"size": [HEIGHT, WIDTH], "counts": [30, 60, HEIGHT * WIDTH - 90]}
    mask = {"category_id": 3, "bbox": [1, 0, 2, 30], "segmentation": runs, "area": 60, "iscrowd": 1}
    whole = coco_file(*names, annotations=[mask | {"image_id": number} for number in range(10)])
    files = {f"images/default/{name}": None for name in names} | {"annotations/instances_default.json": whole}
    data, done = run(files, "cvat_coco", val="0.3")
    assert len(data.train) + len(data.val) == 10
    assert 1 <= len(data.val) <= 6
    assert not any(picture.crowd.any() for picture in data.train)
    assert any("as CVAT marks every mask" in note for note in done.notes)
    drawn = in_image(data.train[0].masks[0], HEIGHT, WIDTH)
    assert drawn[:, 1:3].all()
    assert drawn.sum() == 60


def test_cvats_masks_of_named_subsets_are_objects_but_crowds_of_others_stay(run: Run) -> None:
    runs = {"size": [HEIGHT, WIDTH], "counts": [30, 60, HEIGHT * WIDTH - 90]}
    mask = {"image_id": 0, "category_id": 3, "bbox": [1, 0, 2, 30], "segmentation": runs, "area": 60, "iscrowd": 1}
    polygon = coco_file("a.jpg")["annotations"][0]
    files: dict[str, Any] = {f"images/{split}/a.jpg": None for split in ("Train", "Validation")}
    for split, more in (("Train", {"attributes": {"occluded": False}}), ("Validation", {})):
        files[f"annotations/instances_{split}.json"] = coco_file("a.jpg", annotations=[mask | more, polygon])
    data, _ = run(files, "coco_json")
    assert data.train[0].crowd.tolist() == [False, False]
    assert data.val[0].crowd.tolist() == [True, False]


def test_label_studio_names_with_the_servers_folders(run: Run) -> None:
    written = coco_file("..\\data\\upload\\1\\0a-one.jpg", "images/2a%20two.jpg")
    data, _ = run(
        {"images/0a-one.jpg": None, "images/2a two.jpg": None, "result.json": written}, "label_studio", val="0.5", reading=BOXES
    )
    assert {picture.path.name for picture in (*data.train, *data.val)} == {"0a-one.jpg", "2a_two.jpg"}


def test_files_of_splits_under_other_names_and_equal_image_names(run: Run) -> None:
    files = {f"{split}/a.jpg": None for split in ("training", "validation")}
    files |= {f"annotations/{split}.json": coco_file("a.jpg") for split in ("training", "validation")}
    data, _ = run(files, "coco_json", reading=BOXES)
    assert [picture.path.resolve().parent.name for picture in (*data.train, *data.val)] == ["training", "validation"]


def test_coco_of_2014_needs_links_alone(run: Run) -> None:
    files = {f"{split}2014/{split}.jpg": None for split in ("train", "val")}
    files |= {f"annotations/instances_{split}2014.json": coco_file(f"{split}.jpg") for split in ("train", "val")}
    data, done = run(files, "coco2014", reading=BOXES)
    assert boxes(data.train[0], data) == {"dog": [10, 5, 30, 25], "cat": [1.5, 2, 5.5, 8]}
    assert done.counts == {}


def test_keypoints_rotated_boxes_and_missing_images_are_counted(run: Run) -> None:
    content = coco_file("a.jpg", "gone.jpg")
    content["annotations"][0]["keypoints"] = [1, 1, 2]
    content["annotations"][1]["attributes"] = {"rotation": 30.0}
    files: dict[str, Any] = {f"images/{name}.jpg": None for name in "abd"} | {"annotations/instances_default.json": content}
    content["images"].append({"id": 9, "file_name": "b.jpg"})
    content["annotations"].append({"image_id": 9, "category_id": 7, "bbox": [1, 1, 5, 5]})
    _, done = run(files, "cvat_coco", val="0.5", reading=BOXES)
    told = "\n".join(done.notes)
    for what in (
        "1 sets of keypoints",
        "1 rotated boxes",
        "1 images that aren't there",
        "1 images that no annotation file names",
    ):
        assert what in told


CVAT = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>
<meta><job><labels><label><name>dog</name></label><label><name>cat</name></label></labels></job></meta>
<image id="0" name="sub/a.png" subset="Train" width="40" height="30">
<box label="cat" xtl="1.5" ytl="2" xbr="5.5" ybr="8" occluded="0" z_order="0"></box>
<polygon label="dog" points="10.0,5.0;30.0,5.0;10.0,25.0" z_order="0"></polygon>
<box label="cat" xtl="1" ytl="2" xbr="5" ybr="8" rotation="30.00"></box>
<polyline label="cat" points="1,1;2,2"></polyline></image>
<image id="1" name="b.png" subset="Validation" width="40" height="30">
<mask label="cat" rle="1, 2, 3, 2" left="4" top="6" width="4" height="2"></mask><tag label="dog"></tag></image></annotations>"""


def test_cvat_xml_boxes_polygons_and_masks(run: Run) -> None:
    data, done = run({"images/sub/a.png": None, "images/b.png": None, "annotations.xml": CVAT}, "cvat_xml", reading=BOXES)
    assert data.classes == ("dog", "cat")
    assert boxes(data.train[0], data) == {"cat": [1.5, 2, 5.5, 8], "dog": [10, 5, 30, 25]}
    assert boxes(data.val[0], data) == {"cat": [5, 6, 8, 8]}
    told = "\n".join(done.notes)
    assert "1 rotated boxes left out, the first is sub/a.png" in told
    assert "1 shapes of the kind 'polyline'" in told
    assert "tags of 1 images left out" in told


def test_cvat_tags_alone_are_classes(run: Run) -> None:
    text = "".join(f'<image id="{n}" name="{n}.png"><tag label="{"cat" if n % 2 else "dog"}"/></image>' for n in range(8))
    files: dict[str, Any] = {f"images/{n}.png": None for n in range(8)} | {
        "annotations.xml": f"<annotations>{text}</annotations>"
    }
    data, _ = run(files, "cvat_xml", val="0.25")
    assert data.train.classes == ("cat", "dog")
    assert len(data.train) + len(data.val) == 8


YOLO = "1 0.5 0.5 0.5 0.666666667\n0 0.0875 0.166666667 0.1 0.2\n"
YOLO_BOXES = {"dog": [10, 5, 30, 25], "cat": [1.5, 2, 5.5, 8]}


def close(found: dict[str, list[float]], right: dict[str, list[float]]) -> bool:
    return found.keys() == right.keys() and all(np.allclose(found[name], right[name], atol=1e-4) for name in right)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{}/a.jpg", "labels/{}/a.txt"),
        ("{}/images/a.jpg", "{}/labels/a.txt"),
        ("data/images/{}/a.jpg", "data/labels/{}/a.txt"),
    ],
)
@pytest.mark.parametrize("names", ["names: [cat, dog]\n", "names:\n  0: cat\n  1: dog\n"])
def test_yolo_shares_become_pixels(run: Run, image: str, label: str, names: str) -> None:
    files: dict[str, Any] = {}
    for split in ("train", "val"):
        files |= {image.format(split).replace("a.", f"{split}."): None, label.format(split).replace("a.", f"{split}."): YOLO}
    data, _ = run(files | {"data.yaml": f"train: ../x\nnc: 2\n{names}"}, "yolo", reading=BOXES)
    assert data.classes == ("cat", "dog")
    assert close(boxes(data.train[0], data), YOLO_BOXES)
    assert close(boxes(data.val[0], data), YOLO_BOXES)


def test_darknet_lists_and_an_image_without_a_file(run: Run) -> None:
    files: dict[str, Any] = {f"obj_train_data/{name}.jpg": None for name in "abc"}
    files |= {f"obj_train_data/{name}.txt": YOLO for name in "ab"}
    files |= {"obj.names": "cat\ndog\n", "obj.data": "classes = 2\n", "train.txt": "data/obj_train_data/a.jpg\n"}
    data, done = run(files | {"valid.txt": "data/obj_train_data/b.jpg\ndata/obj_train_data/c.jpg\n"}, "yolo", reading=BOXES)
    assert [picture.path.name for picture in (*data.train, *data.val)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert any("1 images have no objects" in note for note in done.notes)


def test_a_folder_that_is_train_and_val_is_divided(run: Run) -> None:
    files: dict[str, Any] = {f"images/all/{number}.jpg": None for number in range(4)}
    files |= {f"labels/all/{number}.txt": YOLO for number in range(4)}
    configuration = "path: ../x\ntrain: images/all\nval: images/all\nnames: [cat, dog]\n"
    data, _ = run(files | {"data.yaml": configuration}, "yolo", val="0.5", reading=BOXES)
    assert len(data.train) + len(data.val) == 4


def test_yolo_outlines_are_polygons(run: Run) -> None:
    line = "0 0.25 0.166666667 0.75 0.166666667 0.25 0.833333333\n"
    files: dict[str, Any] = {"images/a.jpg": None, "images/b.jpg": None, "labels/a.txt": line, "labels/b.txt": line}
    data, _ = run(files, "yolo", classes="cat,dog", val="0.5")
    polygon = data.train[0].masks[0][0]
    assert np.allclose(polygon, TRIANGLE, atol=1e-4)
    assert data.classes == ("cat", "dog")


def test_yolo_keypoints_are_counted(run: Run) -> None:
    line = "0 0.5 0.5 0.5 0.666666667 0.1 0.2 2\n"
    files: dict[str, Any] = {f"images/{split}/{split}.jpg": None for split in ("train", "val")}
    files |= {f"labels/{split}/{split}.txt": line for split in ("train", "val")}
    data, done = run(files | {"data.yaml": "kpt_shape: [1, 3]\nnames: [cat]\n"}, "yolo", reading=BOXES)
    assert close(boxes(data.train[0], data), {"cat": [10, 5, 30, 25]})
    assert any("2 sets of keypoints" in note for note in done.notes)


def test_yolo_folders_and_endings_in_capitals_are_read(run: Run) -> None:
    files: dict[str, Any] = {"Images/a.JPG": None, "Images/b.JPG": None, "Labels/a.TXT": YOLO, "Labels/b.txt": YOLO}
    data, _ = run(files | {"classes.txt": "cat\ndog\n"}, "yolo", val="0.5", reading=BOXES)
    assert close(boxes(data.train[0], data), YOLO_BOXES)


TWO_PLACES: dict[str, Any] = {f"images/{name}.jpg": None for name in "ab"} | {f"labels/{name}.txt": YOLO for name in "ab"}


def test_two_yolo_files_of_one_image_must_be_equal_and_a_caption_is_none(run: Run, lay: Lay, tmp_path: Path) -> None:
    more = {"images/a.txt": YOLO, "images/b.txt": "a cat and a dog", "labels/gone.txt": YOLO}
    data, done = run(TWO_PLACES | more, "yolo", classes="cat,dog", val="0.5", reading=BOXES)
    assert [len(each.labels) for each in (*data.train, *data.val)] == [2, 2]
    assert "1 text files with objects of no image left out, the first is labels/gone.txt" in done.notes
    for written in ("1 .5 .5 .5 .5\n", ""):
        root = lay(TWO_PLACES | {"images/a.txt": written})
        with pytest.raises(DataError, match=r"differ[\s\S]*images/a\.txt and .*labels/a\.txt"):
            arrange(root, tmp_path / "other", Wanted(classes="cat,dog", val="0.5"), lambda *_: None)


def test_outlines_that_could_be_keypoints_are_said(run: Run) -> None:
    line = "0 0.5 0.5 0.4 0.4 0.45 0.45 0.55 0.55\n"
    files: dict[str, Any] = {"images/a.jpg": None, "images/b.jpg": None, "labels/a.txt": line, "labels/b.txt": line}
    _, done = run(files, "yolo", classes="cat", val="0.5")
    assert any("all 2 outlines could as well be a box and points inside it" in note for note in done.notes)


def labelme(*shapes: dict[str, Any], image: str = "a.jpg") -> dict[str, Any]:
    return {
        "version": "5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image,
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def shape(label: str, points: list[list[float]], kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}} | more


def test_labelme_polygons_groups_rectangles_and_masks(run: Run) -> None:
    one, two = [[1, 1], [5, 1], [5, 5]], [[20, 20], [25, 20], [25, 28]]
    part = np.zeros((4, 6), np.uint8)
    part[1:3, 2:5] = 255
    file = io.BytesIO()
    Image.fromarray(part).save(file, "PNG")
    mask = base64.b64encode(file.getvalue()).decode()
    first = labelme(
        shape("cat", one, group_id=1),
        shape("cat", two, group_id=1),
        shape("dog", [[30, 25], [10, 5]], "rectangle"),
        shape("x", [[3, 3]], "point"),
    )
    files = {"a.jpg": None, "a.json": first, "c.jpg": None, "b.jpg": None}
    files["b.json"] = labelme(shape("cat", [[8, 3], [13, 6]], "mask", mask=mask), image="..\\pictures\\b.jpg")
    data, done = run(files, "labelme", val="0.5", reading=BOXES)
    found = by_name((*data.train, *data.val))
    assert boxes(found["a.jpg"], data) == {"cat": [1, 1, 25, 28], "dog": [10, 5, 30, 25]}
    assert boxes(found["b.jpg"], data) == {"cat": [10, 4, 13, 6]}
    told = "\n".join(done.notes)
    assert "1 shapes of the kind 'point'" in told
    assert "1 images without a file of annotations left out, the first is c.jpg" in told


def test_labelme_outlines_are_drawn_as_label_maps(run: Run) -> None:
    files: dict[str, Any] = {}
    for name in "ab":
        square = shape("cat", [[0, 0], [20, 0], [20, 30], [0, 30]])
        files |= {
            f"{name}.jpg": None,
            f"{name}.json": labelme(square, shape("dog", [[10, 0], [20, 0], [20, 30], [10, 30]]), image=f"{name}.jpg"),
        }
    data, _ = run(files, "labelme", val="0.5", layout="cityscapes")
    assert data.classes == ("background", "cat", "dog")
    assert data.pixels == (600, 300, 300)


@pytest.mark.parametrize("ending", [".png", ""])
def test_supervisely_s_files_have_the_image_s_ending_or_not(run: Run, ending: str) -> None:
    thing = {"classTitle": "cat", "geometryType": "rectangle", "points": {"exterior": [[2, 3], [12, 23]], "interior": []}}
    files: dict[str, Any] = {"meta.json": {"classes": [{"title": "cat"}]}}
    for split in ("train", "val"):
        files |= {f"{split}/img/a_{split}.png": None, f"{split}/ann/a_{split}{ending}.json": {"objects": [thing]}}
    data, _ = run(files, "supervisely", reading=BOXES)
    assert boxes(data.train[0], data) == {"cat": [2, 3, 12, 23]}


def datumaro(image: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    labels = [{"name": name, "parent": "", "attributes": []} for name in ("dog", "cat")]
    item = {"id": Path(image).stem, "annotations": list(annotations), "image": {"path": image, "size": [HEIGHT, WIDTH]}}
    return {"info": {}, "categories": {"label": {"labels": labels, "attributes": []}}, "items": [item]}


def test_datumaro_s_boxes_outlines_and_masks(run: Run) -> None:
    things = (
        {"type": "bbox", "label_id": 1, "bbox": [2, 3, 10, 20], "attributes": {"rotation": 0.0}},
        {"type": "polygon", "label_id": 0, "points": TRIANGLE},
        {"type": "points", "label_id": 0, "points": [1, 1]},
        {"type": "bbox", "label_id": 1, "bbox": [2, 3, 10, 20], "attributes": {"rotation": 30.0}},
    )
    mask = {"type": "mask", "label_id": 1, "rle": {"size": [HEIGHT, WIDTH], "counts": [HEIGHT, HEIGHT, (WIDTH - 2) * HEIGHT]}}
    files: dict[str, Any] = {"images/train/a.jpg": None, "images/val/a.jpg": None}
    files |= {"annotations/train.json": datumaro("a.jpg", *things), "annotations/val.json": datumaro("a.jpg", mask)}
    data, done = run(files, "datumaro", reading=BOXES)
    assert data.classes == ("dog", "cat")
    assert boxes(data.train[0], data) == {"cat": [2, 3, 12, 23], "dog": [10, 5, 30, 25]}
    assert boxes(data.val[0], data) == {"cat": [1, 0, 2, HEIGHT]}
    assert {note.split(" left out")[0] for note in done.notes if "left out" in note} == {
        "1 rotated boxes",
        "1 annotations of the kind 'points'",
    }


def test_datumaro_s_labels_alone_are_classes(run: Run) -> None:
    files: dict[str, Any] = {}
    for number, (split, name) in enumerate((("train", "a"), ("train", "b"), ("val", "c"), ("val", "d"))):
        files |= {f"images/{split}/{name}.jpg": None}
        content = datumaro(f"{name}.jpg", {"type": "label", "label_id": number % 2})
        items = files.setdefault(f"annotations/{split}.json", content | {"items": []})["items"]
        items += content["items"]
    data, _ = run(files, "datumaro")
    assert data.train.classes == ("cat", "dog")
    assert list(data.val.names) == ["cat/d.jpg", "dog/c.jpg"]


def test_supervisely_shapes_holes_and_bitmaps(run: Run) -> None:
    part = np.zeros((2, 3, 4), np.uint8)
    part[0, :, 3] = 255
    file = io.BytesIO()
    Image.fromarray(part).save(file, "PNG")
    bitmap = {"data": base64.b64encode(zlib.compress(file.getvalue())).decode(), "origin": [7, 9]}
    outer, hole = [[0, 0], [20, 0], [20, 20], [0, 20]], [[5, 5], [15, 5], [15, 15], [5, 15]]
    objects = [
        {"classTitle": "dog", "geometryType": "polygon", "points": {"exterior": outer, "interior": [hole]}},
        {"classTitle": "cat", "geometryType": "bitmap", "bitmap": bitmap},
        {"classTitle": "fox", "geometryType": "polygon", "points": {"exterior": [[10, 5], [30, 5], [10, 25]], "interior": []}},
        {"classTitle": "cat", "geometryType": "point", "points": {"exterior": [[1, 1]], "interior": []}},
    ]
    meta = {"classes": [{"title": name, "shape": "any"} for name in ("cat", "dog", "fox")], "tags": []}
    files: dict[str, Any] = {"meta.json": meta}
    for split in ("train", "val"):
        entry = {"size": {"height": HEIGHT, "width": WIDTH}, "tags": [{"name": "t"}], "objects": objects}
        files |= {f"{split}/img/{split}.png": None, f"{split}/ann/{split}.png.json": entry}
    data, done = run(files, "supervisely")
    picture = data.train[0]
    masks = {
        data.classes[label]: in_image(mask, HEIGHT, WIDTH) for label, mask in zip(picture.labels, picture.masks, strict=True)
    }
    assert boxes(picture, data) == {"dog": [0, 0, 20, 20], "cat": [7, 9, 10, 10], "fox": [10, 5, 30, 25]}
    assert masks["dog"].sum() == 20 * 20 - 10 * 10
    assert masks["cat"][9, 7:10].tolist() == [1, 1, 1]
    assert masks["cat"].sum() == 3
    assert picture.masks[2][0].tolist() == TRIANGLE
    told = "\n".join(done.notes)
    assert "2 shapes of the kind 'point'" in told
    assert "2 tags of images" in told


def test_visdrone_rows(run: Run) -> None:
    rows = "10,5,20,20,1,4,0,0\n1,2,4,6,1,1,0,1\n0,0,9,9,0,0,0,0\n3,3,5,5,1,11,0,0\n"
    files: dict[str, Any] = {}
    for split in ("train", "val"):
        files |= {
            f"VisDrone2019-DET-{split}/images/{split}.jpg": None,
            f"VisDrone2019-DET-{split}/annotations/{split}.txt": rows,
        }
    data, done = run(files, "visdrone", reading=BOXES)
    assert boxes(data.train[0], data) == {"car": [10, 5, 30, 25], "pedestrian": [1, 2, 5, 8]}
    assert len(data.classes) == 10
    told = "\n".join(done.notes)
    assert "2 ignored regions" in told
    assert "2 objects of the category 'others'" in told


def voc_xml(name: str = "a.jpg", extra: str = "") -> str:
    box = "<xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax>"
    return (
        f"<annotation><filename>{name}</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        f"<object><name>dog</name><difficult>1</difficult><bndbox>{box}</bndbox></object>"
        f"<object><name>cat</name><bndbox>{box.replace('11', '21')}</bndbox></object>{extra}</annotation>"
    )


@pytest.mark.parametrize(
    ("image", "annotation"),
    [("{}.jpg", "{}.xml"), ("images/{}.jpg", "annotations/{}.xml"), ("JPEGImages/{}.jpg", "Annotations/{}.xml")],
)
def test_voc_without_lists(run: Run, image: str, annotation: str) -> None:
    rotated = "<object><type>robndbox</type><name>cat</name><robndbox><cx>1</cx></robndbox></object>"
    files: dict[str, Any] = {image.format(name): None for name in ("a", "b", "with blank")}
    files |= {annotation.format(name): voc_xml(extra=rotated) for name in ("a", "b", "with blank")}
    data, done = run(files, "voc_xml", val="0.4")
    assert done.layout == "voc"
    found = by_name((*data.train, *data.val))
    assert found.keys() == {"a.jpg", "b.jpg", "with_blank.jpg"}
    assert boxes(found["a.jpg"], data) == {"dog": [10, 5, 30, 25], "cat": [20, 5, 30, 25]}
    assert found["a.jpg"].difficult.tolist() == [True, False]
    assert any("3 rotated boxes" in note for note in done.notes)


def test_voc_lists_say_the_split_and_roboflows_folders_do(run: Run, tmp_path: Path) -> None:
    files: dict[str, Any] = {f"JPEGImages/{name}.jpg": None for name in "abc"} | {
        f"Annotations/{name}.xml": voc_xml() for name in "abc"
    }
    lists = {
        "ImageSets/Main/trainval.txt": "a\nb\n",
        "ImageSets/Main/train.txt": "a\n",
        "ImageSets/Main/val.txt": "b\n",
        "ImageSets/Main/dog_train.txt": "a 1\n",
    }
    data, done = run(files | lists, "voc_xml", layout="coco", reading=BOXES)
    assert [picture.path.name for picture in (*data.train, *data.val)] == ["a.jpg", "b.jpg"]
    assert any("1 images on no list left out" in note for note in done.notes)


def test_roboflow_voc_folders(run: Run) -> None:
    files: dict[str, Any] = {f"{split}/{split}.jpg": None for split in ("train", "valid")}
    data, _ = run(files | {f"{split}/{split}.xml": voc_xml() for split in ("train", "valid")}, "voc_xml")
    assert [picture.path.name for picture in (*data.train, *data.val)] == ["train.jpg", "valid.jpg"]


def test_vocdevkit_apart_and_together(run: Run) -> None:
    files: dict[str, Any] = {}
    for archive, name, listing in (("VOCtrainval", "000001", "trainval"), ("VOCtest", "000002", "test")):
        home = f"{archive}/VOCdevkit/VOC2007"
        files |= {
            f"{home}/JPEGImages/{name}.jpg": None,
            f"{home}/Annotations/{name}.xml": voc_xml(),
            f"{home}/ImageSets/Main/{listing}.txt": f"{name}\n",
        }
    data, _ = run(files, "vocdevkit")
    assert [picture.path.name for picture in (*data.train, *data.val)] == ["000001.jpg", "000002.jpg"]


def test_classes_asked_for_are_kept_in_their_order(run: Run) -> None:
    files = {f"{split}/{split}.jpg": None for split in ("train", "valid")}
    files |= {f"{split}/_annotations.coco.json": coco_file(f"{split}.jpg") for split in ("train", "valid")}
    data, done = run(files, "roboflow_coco", classes="dog", reading=BOXES)
    assert data.classes == ("dog",)
    assert boxes(data.train[0], data) == {"dog": [10, 5, 30, 25]}
    assert any("2 objects of other classes left out" in note for note in done.notes)


def numbered(content: dict[str, Any], digits: str) -> str:
    return json.dumps(content).replace('"category_id": 7', f'"category_id": {digits}')


INSTANCES = "annotations/instances_default.json"
BITMAP = {"objects": [{"classTitle": "x", "geometryType": "bitmap"}]}
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "a list that is a number": ("cvat_coco", {INSTANCES: coco_file("a.jpg") | {"annotations": 3}}, "no list 'annotations'"),
    "no categories": ("cvat_coco", {INSTANCES: coco_file("a.jpg") | {"categories": []}}, "unknown category"),
    "no images": ("cvat_coco", {INSTANCES: coco_file("gone.jpg")}, "no image that can be used"),
    "an id of many digits": ("cvat_coco", {INSTANCES: numbered(coco_file("a.jpg"), "9" * 400)}, "is no id"),
    "an image twice": ("cvat_coco", {INSTANCES: coco_file("a.jpg", "images/a.jpg")}, "annotated 2 times"),
    "runs too long": ("cvat_xml", {"annotations.xml": CVAT.replace("1, 2, 3, 2", "1, 2, 3, 3"), "b.png": None}, "doesn't fit"),
    "polygons alone": (
        "voc_xml",
        {"a.xml": "<annotation><object><name>cat</name><polygon><x1>1</x1></polygon></object></annotation>"},
        r"has no class[\s\S]*1 objects without a box",
    ),
    "tracks alone": (
        "cvat_xml",
        {"annotations.xml": "<annotations><meta/><track label='cat'><box frame='0'/></track></annotations>"},
        r"1 tracks of a video[\s\S]*annotations of each image",
    ),
    "pictures in the JSON": (
        "labelme",
        {"b.json": labelme(image="b.jpg") | {"imageData": "AA=="}},
        r"as imageData[\s\S]*images, too",
    ),
    "a label without a name": ("datumaro", {"a.json": datumaro("a.jpg", {"type": "label", "label_id": 2})}, "without a name"),
    "half a file": ("cvat_xml", {"annotations.xml": CVAT[:500], "b.png": None}, "not XML"),
    "no names": ("yolo", {"labels/a.txt": YOLO}, "have no names"),
    "pixels": ("yolo", {"labels/a.txt": "0 .1 .1 .1 .1\n0 5 6 7 8\n", "classes.txt": "cat\n"}, "isn't in shares"),
    "other number of names": ("yolo", {"labels/a.txt": YOLO, "data.yaml": "nc: 3\nnames: [cat, dog]\n"}, "nc: 3, and 2 names"),
    "no names in data.yaml": ("yolo", {"labels/a.txt": YOLO, "data.yaml": "nc: 2\n"}, "a configuration without names"),
    "visible keypoints": ("yolo", {"labels/a.txt": "0 .5 .5 .4 .4 .45 .45 2 .55 .55 2\n", "classes.txt": "cat\n"}, "kpt_shape"),
    "class 4": ("yolo", {"labels/a.txt": "0 .1 .1 .1 .1\n4 .1 .1 .1 .1\n", "classes.txt": "cat\n"}, "class without a name"),
    "half a point": ("labelme", {"a.json": labelme(shape("cat", [[1, 1], [2]]))}, "not a list of points"),
    "no bitmap": ("supervisely", {"meta.json": {"classes": []}, "d/img/a.png": None, "d/ann/a.png.json": BITMAP}, "bitmap"),
    "half a row": ("visdrone", {"annotations/a.txt": "1,2,3,4,1,1,0,0\n1,2,3\n"}, "no row of VisDrone's"),
    "no number": ("voc_xml", {"a.xml": voc_xml().replace("<xmin>11", "<xmin>x")}, "not four numbers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_in_an_export_is_one_message(run: Run, what: str) -> None:
    name, files, words = WRONG[what]
    with pytest.raises(DataError, match=words):
        run({"images/a.jpg": None} | files, name, val="0.5")


def test_two_classes_of_one_name_are_refused_and_two_categories_are_said(
    lay: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    root = lay({"a.jpg": None, "a.txt": "0 .5 .5 .5 .5\n", "data.yaml": "names: [cat, dog, cat]\n"})
    with pytest.raises(DataError, match=r"several classes of the name 'cat'(.|\n)*the classes 0, 2"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)
    content = coco_file("a.jpg")
    for category in content["categories"]:
        category["name"] = "cat"
    root = lay({"a.jpg": None, "b.jpg": None, "a_train.json": content, "b_val.json": coco_file("b.jpg")})
    (root / "data.yaml").unlink()
    done = arrange(root, tmp_path / "made", Wanted(), lambda *_: None)
    assert "2 categories of a_train.json are called 'cat' and become one class" in done.notes


def test_an_address_names_an_image_by_its_path_alone(run: Run) -> None:
    addresses = ("https://example.org/train/a.jpg?sig=x/y", "/data/local-files/?d=served/b.jpg")
    files: dict[str, Any] = {"train/a.jpg": None, "val/b.jpg": None}
    files |= {f"{split}.json": coco_file(name) for split, name in zip(("train", "val"), addresses, strict=True)}
    data, _ = run(files, "coco_json", reading=BOXES)
    assert [picture.path.name for picture in (*data.train, *data.val)] == ["a.jpg", "b.jpg"]
