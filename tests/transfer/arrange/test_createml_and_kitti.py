"""Boxes of Create ML (centres) and KITTI (corners) become the same pixels; what isn't such a file is one error."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import DataError
from transfer.arrange.work import Wanted, arrange
from transfer.datasets.objects import DetectionData

Lay = Callable[[dict[str, Any]], Path]
Run = Callable[..., Any]
BOXES = {"masks": False}


def found(pictures: Any, data: DetectionData) -> dict[str, list[tuple[str, list[float]]]]:
    """Image → class and box of each of its objects."""
    return {
        picture.path.stem: [(data.classes[at], box.tolist()) for at, box in zip(picture.labels, picture.boxes, strict=True)]
        for picture in pictures
    }


def centred(label: str, *corners: float) -> dict[str, Any]:
    left, top, right, bottom = corners
    size = {"width": right - left, "height": bottom - top}
    return {"label": label, "coordinates": {"x": (left + right) / 2, "y": (top + bottom) / 2} | size}


def create_ml(*images: tuple[str, list[dict[str, Any]]], keys: tuple[str, str] = ("image", "annotations")) -> str:
    return json.dumps([{keys[0]: name, keys[1]: objects} for name, objects in images])


@pytest.mark.parametrize("keys", [("image", "annotations"), ("imagefilename", "annotation")])
def test_create_ml_s_centres_become_corners(run: Run, keys: tuple[str, str]) -> None:
    train = create_ml(
        ("a.jpg", [centred("dog", 1, 2, 10, 21), centred("cat", 0, 0, 40, 30)]),
        ("b.jpg", []),
        ("gone.jpg", [centred("cat", 1, 1, 2, 2)]),
        ("c.jpg", [centred("cat", 3, 3, 3, 9)]),
        keys=keys,
    )
    files: dict[str, Any] = {f"train/{name}.jpg": None for name in "abcd"} | {"train/_annotations.createml.json": train}
    files |= {"valid/e.jpg": None, "valid/_annotations.createml.json": create_ml(("e.jpg", [centred("cat", 5, 6, 7.5, 8)]))}
    data, done = run(files | {"README.json": "{}"}, "createml", reading=BOXES)
    assert data.classes == ("cat", "dog")
    assert found(data.train, data) == {"a": [("dog", [1, 2, 10, 21]), ("cat", [0, 0, 40, 30])]}
    assert found(data.val, data) == {"e": [("cat", [5, 6, 7.5, 8])]}
    assert done.counts["images"] == (3, 1)
    said = " ".join(done.notes)
    for what in (
        "1 images that aren't there",
        "1 boxes without area",
        "1 images that no file names",
        "JSON files of another kind",
    ):
        assert what in said, what


def test_boxes_that_fit_as_upper_left_corners_alone_are_refused(lay: Lay, tmp_path: Path) -> None:
    corner = {"label": "cat", "coordinates": {"x": 0, "y": 0, "width": 30, "height": 20}}
    root = lay({"a.jpg": None, "labels.json": create_ml(("a.jpg", [corner, corner, corner, centred("cat", 5, 5, 9, 9)]))})
    with pytest.raises(DataError, match=r"are the upper left corner, width(.|\n)*3 of 4 reach out(.|\n)*add half"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            create_ml(("a.jpg", [{"label": "cat", "coordinates": [1, 2, 3, 4]}])),
            "'coordinates' of annotation 0 .* is not an object",
        ),
        (create_ml(("a.jpg", [{"coordinates": {"x": 1}}])), "'label' of annotation 0 of image 0 .* is not a name"),
        (create_ml(("a.jpg", [centred("cat", 1, 2, 3, float("inf"))])), "'y' of annotation 0 of image 0 .* is not a number"),
        (json.dumps([{"image": "a.jpg", "annotations": "cat"}]), "the annotations of image 0 .* is not a list"),
        (create_ml(("a.jpg", [centred("cat", 1, 2, 3, 4)]))[:-9], "can't read .*_annotations.createml.json as JSON"),
    ],
)
def test_a_wrong_file_of_create_ml_is_one_error(lay: Lay, tmp_path: Path, content: str, words: str) -> None:
    root = lay({"a.jpg": None, "_annotations.createml.json": content})
    with pytest.raises(DataError, match=words):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


def row(name: str, *corners: float, score: str = "") -> str:
    return f"{name} 0.00 0 -1.57 {' '.join(f'{side:.2f}' for side in corners)} 1.5 1.6 3.9 1.0 1.7 20.1 -1.62{score}\n"


DONT_CARE = "DontCare -1 -1 -10 3.00 4.00 9.00 8.00 -1 -1 -1 -1000 -1000 -1000 -10\n"


def test_kitti_s_folders_lists_and_regions(run: Run) -> None:
    labels = {
        "000000": row("Car", 1, 2, 10, 21) + DONT_CARE + row("Pedestrian", 0, 0, 39, 29.5),
        "000001": "",
        "000002": DONT_CARE,
    }
    labels |= {"000003": row("Car", 5, 6, 7.5, 8), "000009": row("Car", 1, 1, 2, 2)}
    files: dict[str, Any] = {f"training/label_2/{name}.txt": text for name, text in labels.items()}
    files |= {f"training/image_2/00000{at}.png": None for at in range(5)} | {"testing/image_2/000000.png": None}
    files |= {
        "ImageSets/train.txt": "000000\n000001\n000002\n",
        "ImageSets/val.txt": "000003\n",
        "ImageSets/test.txt": "000000\n",
    }
    files |= {"training/calib/000000.txt": "P0: 7.2e+02 0.0 6.1e+02\n", "training/image_3/000000.png": None}
    data, done = run(files, "kitti", reading=BOXES)
    assert data.classes == ("Car", "Pedestrian")
    assert found(data.train, data) == {"000000": [("Car", [1, 2, 10, 21]), ("Pedestrian", [0, 0, 39, 29.5])]}
    assert found(data.val, data) == {"000003": [("Car", [5, 6, 7.5, 8])]}
    said = " ".join(done.notes)
    assert "2 ignored regions (DontCare) left out" in said
    assert "2 images have no objects; they are kept as background" in said
    assert "3 images without a file of annotations left out" in said
    assert "1 text files with objects of no image left out" in said


@pytest.mark.parametrize("places", [("images", "labels"), ("{}/images", "{}/labels"), ("images/{}", "labels/{}")])
def test_kitti_s_form_in_folders_of_images_and_labels(run: Run, tmp_path: Path, places: tuple[str, str]) -> None:
    files: dict[str, Any] = {}
    for split, name in (("train", "a"), ("val", "b")):
        images, labels = (place.format(split) for place in places)
        files |= {f"{images}/{name}.jpg": None, f"{labels}/{name}.txt": row("road sign", 1, 2, 10, 21, score=" 0.9")}
    (tmp_path / "val.txt").write_text("b\n")
    data, done = run(files, "kitti", reading=BOXES, val=None if "{}" in "".join(places) else str(tmp_path / "val.txt"))
    assert found(data.train, data) == {"a": [("road sign", [1, 2, 10, 21])]}
    assert found(data.val, data) == {"b": [("road sign", [1, 2, 10, 21])]}
    assert any("2 objects have a score, as predictions have" in note for note in done.notes)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Car 0 0 0 1 2 3 4\n", r"line 2 of .*a.txt is no row of KITTI's(.|\n)*7 numbers at its end"),
        ("0 0 0 0 1 2 3 4 5 6 7 8 9 10 11\n", "is no row of KITTI's"),
        (row("Car", 1, 2, 3, 4).replace("3.00", "nan"), "is no row of KITTI's"),
        (row("Car", 1, 2, 3, 1e9), "line 2 of .* is not a number"),
    ],
)
def test_a_wrong_line_of_kitti_s_is_one_error(lay: Lay, tmp_path: Path, line: str, words: str) -> None:
    root = lay({"images/a.png": None, "images/b.png": None, "labels/a.txt": row("Car", 1, 2, 9, 9) + line, "labels/b.txt": ""})
    with pytest.raises(DataError, match=words):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


def test_two_files_of_an_image_that_differ_are_refused(lay: Lay, tmp_path: Path) -> None:
    root = lay({"images/a.png": None, "images/a.txt": row("Car", 1, 2, 9, 9), "labels/a.txt": row("Car", 1, 2, 9, 8)})
    with pytest.raises(DataError, match=r"two text files name the objects of one image, and differ"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


def test_the_tracking_benchmark_s_files_are_not_taken_for_boxes_of_images(lay: Lay, tmp_path: Path) -> None:
    root = lay({"image_2/a.png": None, "label_2/a.txt": "0 1 " + row("Car", 1, 2, 9, 9)})
    with pytest.raises(DataError, match="is no export that is known"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)
