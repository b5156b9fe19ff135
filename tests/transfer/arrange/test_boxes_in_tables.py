"""Tables with a box in each row, in the dialects that tools and public data sets have."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretrain.core.errors import BenchError, DataError
from transfer.arrange import recognise
from transfer.arrange.work import Wanted, arrange
from transfer.datasets.objects import DetectionData

WIDTH, HEIGHT = 40, 30
Run = Callable[..., tuple[Any, Any]]
Lay = Callable[[dict[str, Any]], Path]
READING = {"reading": {"masks": False}}
RIGHT = {"a": {"cat": [10, 5, 30, 20]}, "b": {"cat": [10, 5, 30, 20], "dog": [1.5, 2, 5.5, 8]}}
"""Image → class → corners, in pixels."""


def found(data: DetectionData) -> dict[str, dict[str, list[float]]]:
    return {
        picture.path.stem: {data.classes[label]: box.tolist() for label, box in zip(picture.labels, picture.boxes, strict=True)}
        for picture in (*data.train, *data.val)
    }


def same(seen: dict[str, dict[str, list[float]]], right: dict[str, dict[str, list[float]]]) -> bool:
    return seen.keys() == right.keys() and all(
        seen[image].keys() == right[image].keys()
        and all(np.allclose(seen[image][name], right[image][name], atol=1e-4) for name in right[image])
        for image in right
    )


def table(heading: str | None, row: Callable[[str, str, list[float]], str]) -> str:
    rows = [row(image, name, box) for image, objects in RIGHT.items() for name, box in objects.items()]
    return "\n".join([*([heading] if heading else []), *rows]) + "\n"


def sized(box: list[float]) -> tuple[float, float, float, float]:
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def centred(box: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = sized(box)
    return x + width / 2, y + height / 2, width, height


def listed(values: Any) -> str:
    return ",".join(map(str, values))


def shares(box: list[float]) -> str:
    left, top, right, bottom = box
    return listed((left / WIDTH, right / WIDTH, top / HEIGHT, bottom / HEIGHT))


DIALECTS: dict[str, tuple[str, str]] = {
    "TensorFlow, Roboflow": (
        "_annotations.csv",
        table(
            "filename,width,height,class,xmin,ymin,xmax,ymax",
            lambda image, name, box: f"{image}.png,40,30,{name},{listed(box)}",
        ),
    ),
    "RetinaNet": ("all.csv", table(None, lambda image, name, box: f"pictures/{image}.png,{listed(box)},{name}")),
    "makesense.ai": ("labels.csv", table(None, lambda image, name, box: f"{name},{listed(sized(box))},{image}.png,40,30")),
    "Open Images": (
        "annotations-bbox.csv",
        table(
            "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax",
            lambda image, name, box: f"{image},x,{name},1,{shares(box)}",
        ),
    ),
    "Kaggle": (
        "train_all.csv",
        table(
            "image_id,width,height,bbox,label",
            lambda image, name, box: f'{image},40,30,"[{", ".join(map(str, sized(box)))}]",{name}',
        ),
    ),
    "objects": (
        "boxes.jsonl",
        table(None, lambda image, name, box: json.dumps({"file_name": f"{image}.png", "bbox": sized(box), "category": name})),
    ),
    "sizes": (
        "boxes.tsv",
        table("Image\tClass\tx\ty\tw\th", lambda image, name, box: "\t".join([f"{image}.png", name, *map(str, sized(box))])),
    ),
    "sizes beside the image's": (
        "boxes.csv",
        table("image,x,y,w,h,width,height,label", lambda image, name, box: f"{image}.png,{listed(sized(box))},40,30,{name}"),
    ),
    "centres": (
        "boxes.csv",
        table(
            "path;x_center;y_center;width;height;name",
            lambda image, name, box: ";".join([f"{image}.png", *map(str, centred(box)), name]),
        ),
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_boxes_of_every_dialect_are_the_same(run: Run, name: str) -> None:
    path, content = DIALECTS[name]
    data, done = run({**{f"pictures/{each}.png": None for each in "ab"}, path: content}, "csv_boxes", val="0.5", **READING)
    assert data.classes == ("cat", "dog")
    assert same(found(data), RIGHT)
    assert done.counts["objects"][0] + done.counts["objects"][1] == 3


def test_tables_and_folders_say_the_split(run: Run) -> None:
    heading = "filename,class,xmin,ymin,xmax,ymax"
    files = {f"{split}/{split}.png": None for split in ("train", "valid")}
    data, _ = run(
        files | {f"{split}/_annotations.csv": f"{heading}\n{split}.png,cat,1,2,9,8\n" for split in ("train", "valid")},
        "csv_boxes",
        **READING,
    )
    assert [[picture.path.stem for picture in split] for split in (data.train, data.val)] == [["train"], ["valid"]]


def test_a_list_of_names_calls_open_images_labels_and_groups_are_crowds(run: Run) -> None:
    rows = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n{},/m/01,0.25,0.75,0.1,0.9,0\n{},/m/02,0,0.5,0,0.5,1\n"
    files: dict[str, Any] = {f"{split}/{split}.png": None for split in ("train", "validation")}
    files |= {f"{split}-annotations-bbox.csv": rows.format(split, split) for split in ("train", "validation")}
    data, _ = run(files | {"class-descriptions-boxable.csv": "/m/01,Big cat\n/m/02,Dog\n/m/03,Owl\n"}, "csv_boxes", **READING)
    assert data.classes == ("Big cat", "Dog")
    (picture,) = data.val
    assert picture.boxes.tolist()[0] == pytest.approx([10, 3, 30, 27])
    assert picture.crowd.tolist() == [False, True]


def test_an_image_without_a_box_stays_as_background(run: Run) -> None:
    files: dict[str, Any] = {f"{name}.png": None for name in "abc"}
    rows = "a.png,1,2,9,8,cat\nb.png,,,,,\nc.png,1,2,9,8,cat\n"
    data, done = run(files | {"boxes.csv": rows}, "csv_boxes", val="0.5", **READING)
    assert found(data) == {"a": {"cat": [1, 2, 9, 8]}, "b": {}, "c": {"cat": [1, 2, 9, 8]}}
    assert any("1 images have no objects" in note for note in done.notes)


def test_without_a_column_of_classes_all_objects_are_of_one(run: Run) -> None:
    files: dict[str, Any] = {f"train/{name}.png": None for name in "ab"}
    content = 'image_id,bbox\na,"[1, 2, 3, 4]"\nb,"[5.0 6.0 7.0 8.0]"\n'
    data, done = run(files | {"wheat.csv": content}, "csv_boxes", classes="wheat", val="0.5", **READING)
    assert found(data) == {"a": {"wheat": [1, 2, 4, 6]}, "b": {"wheat": [5, 6, 12, 14]}}
    assert any("no column of classes" in note for note in done.notes)


WRONG = {
    "two systems": (
        "image,label,xmin,ymin,xmax,ymax,x,y,w,h\na.png,c,1,2,3,4,1,2,2,2\n",
        "don't say what a box is.*xmin, ymin",
    ),
    "a column twice": (
        "image,label,x,y,width,height,width\na.png,c,1,2,3,4,40\n",
        "don't say what a box is.*width, height, width",
    ),
    "half a system": ("image,label,xmin,ymin\na.png,c,1,2\n", "don't say what a box is.*image, label, xmin, ymin"),
    "four points": ("image,label,x1,y1,x2,y2,x3,y3,x4,y4\na.png,c,1,2,3,2,3,4,1,4\n", "don't say what a box is.*x3"),
    "no number": ("image,label,x1,y1,x2,y2\na.png,c,1,2,three,4\n", "the box of row 2 of .*'three'"),
    "three numbers": ('image,label,bbox\na.png,c,"[1, 2, 3]"\n', "row 2 of .* lacks a part"),
    "no class": ("image,label,x1,y1,x2,y2\na.png,,1,2,3,4\n", "row 2 of .* lacks a part"),
    "a cell too few": ("image,label,x1,y1,x2,y2\na.png,c,1,2,3\n", "row 2 of .* has 5 cells"),
    "half a crowd": ("image,label,x1,y1,x2,y2,iscrowd\na.png,c,1,2,3,4,0.5\n", "neither a crowd nor not"),
    "two splits": ("image,label,x1,y1,x2,y2,split\na.png,c,1,2,3,4,train\na.png,c,1,2,3,4,val\n", "in several splits"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_table_is_one_message(lay: Lay, tmp_path: Path, what: str) -> None:
    content, words = WRONG[what]
    root = lay({"a.png": None, "boxes.csv": content})
    assert recognise(root) == "csv_boxes"
    with pytest.raises(DataError) as caught:
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)
    assert re.search(words, str(caught.value), re.S)
    assert not (tmp_path / "made").exists()


def test_an_image_in_two_tables_is_refused(lay: Lay, tmp_path: Path) -> None:
    content = "image,label,x1,y1,x2,y2\na.png,c,1,2,3,4\n"
    root = lay({"a.png": None, "train.csv": content, "all.csv": content})
    with pytest.raises(BenchError, match=r"a\.png is in two tables"):
        arrange(root, tmp_path / "made", Wanted(), lambda *_: None)


def test_rows_that_name_an_image_in_two_ways_are_one_image(run: Run) -> None:
    files: dict[str, Any] = {"x/a.png": None, "x/b.png": None}
    rows = "a.png,cat,1,2,9,8\nx/a.png,dog,1,2,9,9\nb,cat,1,2,9,8\n"
    data, _ = run(files | {"boxes.csv": f"image,label,x1,y1,x2,y2\n{rows}"}, "csv_boxes", val="0.5", **READING)
    assert found(data) == {"a": {"cat": [1, 2, 9, 8], "dog": [1, 2, 9, 9]}, "b": {"cat": [1, 2, 9, 8]}}


@pytest.mark.parametrize(
    ("heading", "row", "words"),
    [
        ("filename,class,x,y,w,h", "{}.png,cat,1,2,3,4", "--as imagefolder takes the classes alone"),
        ("filename,class,x1,y1,x2,y2", "{}.png,cat,0.1,0.2,0.5,1", "shares of the image"),
    ],
)
def test_a_reading_that_could_be_another_is_noted(run: Run, heading: str, row: str, words: str) -> None:
    table = "\n".join([heading, *(row.format(each) for each in "ab")])
    _, done = run({"a.png": None, "b.png": None, "boxes.csv": table}, "csv_boxes", val="0.5", **READING)
    assert [words in note for note in done.notes if "boxes.csv" in note] == [True]


def test_boxes_are_no_classes_unless_asked_for(lay: Lay) -> None:
    root = lay({"a.png": None, "boxes.csv": "filename,class,x,y,w,h\na.png,cat,1,2,3,4\n"})
    assert (recognise(root), recognise(root, "imagefolder")) == ("csv_boxes", "csv_labels")
    root = lay({"boxes.csv": "filename,class,xmin,ymin,xmax,ymax\na.png,cat,1,2,3,4\n"})
    assert (recognise(root), recognise(root, "imagefolder")) == ("csv_boxes", None)
