"""VIA's, BDD100K's and CUB's files become the objects and classes that they say, with what can't be carried counted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import DataError
from transfer.arrange import recognise
from transfer.arrange.work import Wanted, arrange

Lay = Callable[[dict[str, Any]], Path]


def region(shape: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


RECT = {"name": "rect", "x": 2, "y": 3, "width": 10, "height": 8}
POLYGON = {"name": "polygon", "all_points_x": [5, 25, 25], "all_points_y": [4, 4, 20]}


def via(name: str, regions: Any) -> dict[str, Any]:
    return {f"{name}99": {"filename": name, "size": 99, "regions": regions, "file_attributes": {}}}


def made(target: Path, split: str) -> tuple[list[str], list[tuple[str, list[float], bool]]]:
    """Names of the classes, and class, box and whether there is an outline of each object that was written."""
    content = json.loads((target / f"annotations/instances_{split}2017.json").read_text())
    names = {each["id"]: each["name"] for each in content["categories"]}
    things = [
        (names[a["category_id"]], [float(v) for v in a["bbox"]], bool(a.get("segmentation"))) for a in content["annotations"]
    ]
    return list(names.values()), things


def test_via_s_projects_and_exports_become_boxes_and_outlines(lay: Lay, tmp_path: Path) -> None:
    circle = {"name": "circle", "cx": 9, "cy": 9, "r": 3}
    regions = [region(RECT, kind="x", label="cat"), region(POLYGON, label="dog"), region(circle, label="cat")]
    regions += [region(RECT, label={"cat": True, "dog": False}), region(RECT, label="")]
    numbered = {str(at): each for at, each in enumerate(regions)}  # as VIA 1 has them
    for train in (
        via("a.jpg", regions),
        via("a.jpg", numbered),
        {"_via_settings": {}, "_via_img_metadata": via("a.jpg", regions)},
    ):
        files = {"train/a.jpg": None, "train/via.json": train, "val/b.jpg": None}
        root = lay(files | {"val/via.json": via("b.jpg", [region(RECT, label="cat")])})
        assert recognise(root) == "via"
        target = tmp_path / f"made{len(list(tmp_path.iterdir()))}"
        done = arrange(root, target, Wanted(), lambda *_: None)
        classes, things = made(target, "train")
        assert classes == ["cat", "dog"]
        assert things == [
            ("cat", [2, 3, 10, 8], False),
            ("dog", [5, 4, 20, 16], True),
            ("cat", [2, 3, 10, 8], False),
        ]
        assert made(target, "val")[1] == [("cat", [2, 3, 10, 8], False)]
        said = " ".join(done.notes)
        assert "circle" in said
        assert "several classes, or of none" in said


def test_via_s_tables_are_read_and_objects_without_attributes_are_of_one_class(lay: Lay, tmp_path: Path) -> None:
    def row(name: str, shape: dict[str, Any]) -> str:
        cell = json.dumps(shape).replace('"', '""')
        return f'{name},99,"{{}}",1,0,"{cell}","{{}}"\n'

    heading = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    table = heading + row("a.jpg", RECT) + row("a.jpg", POLYGON) + row("b.jpg", {})
    root = lay({"a.jpg": None, "b.jpg": None, "via.csv": table})
    assert recognise(root) == "via"
    (tmp_path / "val.txt").write_text("b\n")
    arrange(root, tmp_path / "made", Wanted(classes="balloon", val=str(tmp_path / "val.txt")), lambda *_: None)
    assert made(tmp_path / "made", "train") == (
        ["balloon"],
        [("balloon", [2, 3, 10, 8], False), ("balloon", [5, 4, 20, 16], True)],
    )


def test_via_s_attributes_none_of_which_is_a_class_are_named(lay: Lay, tmp_path: Path) -> None:
    root = lay({"a.jpg": None, "v.json": via("a.jpg", [region(RECT, colour="red", size="big")])})
    with pytest.raises(DataError, match=r"several attributes(.|\n)*colour, size"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


def test_a_project_of_one_long_line_is_recognised(lay: Lay) -> None:
    many = {key: each for n in range(400) for key, each in via(f"{n}.jpg", [region(RECT, label="cat")]).items()}
    assert recognise(lay({"0.jpg": None, "v.json": json.dumps({"_via_img_metadata": many})})) == "via"


def test_via_s_attributes_that_differ_in_capitals_or_blanks_are_refused(lay: Lay, tmp_path: Path) -> None:
    root = lay({"a.jpg": None, "v.json": via("a.jpg", [region(RECT, Label="cat"), region(RECT, **{" label": "dog"})])})
    with pytest.raises(DataError, match=r"but for capitals and blanks(.|\n)*'Label', ' label'"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


def test_a_project_beside_its_own_tables_gives_each_object_once(lay: Lay, tmp_path: Path) -> None:
    """A box drawn twice in one file stays two; an object that one file alone has stays."""

    def row(shape: dict[str, Any], **attributes: Any) -> str:
        shown, said = (json.dumps(each).replace('"', '""') for each in (shape, attributes))
        return f'a.jpg,99,"{{}}",1,0,"{shown}","{said}"\n'

    drawn = [region(RECT, label="cat"), region(RECT, label="cat"), region(POLYGON, label="dog")]
    table = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    table += row(RECT, label="cat") + row(RECT, label="cat") + row(POLYGON, label="dog") + row(RECT, label="dog")
    root = lay({"a.jpg": None, "b.jpg": None, "project.json": {"_via_img_metadata": via("a.jpg", drawn)}, "via.csv": table})
    (tmp_path / "val.txt").write_text("b\n")
    (root / "v.json").write_text(json.dumps(via("b.jpg", [region(RECT, label="cat")])))
    done = arrange(root, tmp_path / "made", Wanted(val=str(tmp_path / "val.txt")), lambda *_: None)
    cat, dog = ("cat", [2, 3, 10, 8], False), ("dog", [5, 4, 20, 16], True)
    assert made(tmp_path / "made", "train")[1] == [cat, cat, dog, ("dog", [2, 3, 10, 8], False)]
    assert made(tmp_path / "made", "val")[1] == [cat]
    assert any("1 images have objects in several files, such as project.json and via.csv" in note for note in done.notes)
    assert any("3 that are equal in different files count once" in note for note in done.notes)


@pytest.mark.parametrize("format_", ["via", "bdd100k"])
def test_an_image_in_files_of_two_splits_is_refused(lay: Lay, tmp_path: Path, format_: str) -> None:
    said = via("a.jpg", [region(RECT, label="cat")]) if format_ == "via" else {"frames": [bdd("a.jpg", CAR)]}
    root = lay({"a.jpg": None, "labels_train.json": said, "labels_val.json": said})
    with pytest.raises(DataError, match=r"several splits(.|\n)*labels_train.json: train, labels_val.json: val"):
        arrange(root, tmp_path / "made", Wanted(), lambda *_: None)


def bdd(name: str, *labels: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "attributes": {"weather": "clear"}, "timestamp": 10, "labels": list(labels) or None}


CAR = {"category": "car", "box2d": {"x1": 2, "y1": 3, "x2": 12, "y2": 11}, "attributes": {"occluded": False}}
LANE = {"category": "lane", "poly2d": [{"vertices": [[1, 1], [5, 9]], "types": "LL", "closed": False}]}
AREA = {"category": "rider", "poly2d": [{"vertices": [[5, 4], [25, 4], [25, 20]], "types": "LLL", "closed": True}]}


def test_bdd100k_s_boxes_are_read_and_lanes_left_out(lay: Lay, tmp_path: Path) -> None:
    train = json.dumps([bdd("a.jpg", CAR, LANE), bdd("gone.jpg", CAR), bdd("c.jpg")])
    one = {"name": "b", "frames": [{"timestamp": 1, "objects": [CAR]}]}  # as the first release had it
    files = {f"images/100k/{path}": None for path in ("train/a.jpg", "train/c.jpg", "val/b.jpg")}
    root = lay(files | {"labels/bdd100k_labels_images_train.json": train, "labels/val/b.json": json.dumps(one)})
    assert recognise(root) == "bdd100k"
    done = arrange(root, tmp_path / "made", Wanted(), lambda *_: None)
    assert made(tmp_path / "made", "train") == (["car"], [("car", [2, 3, 11, 9], False)])
    assert made(tmp_path / "made", "val") == (["car"], [("car", [2, 3, 11, 9], False)])
    assert "lane" in " ".join(done.notes)
    assert "aren't there" in " ".join(done.notes)


def test_bdd100k_s_objects_in_two_files_count_once(lay: Lay, tmp_path: Path) -> None:
    files = {"train/a.jpg": None, "val/b.jpg": None, "ins_val.json": json.dumps([bdd("b.jpg", AREA)])}
    files |= {f"{name}_train.json": json.dumps([bdd("a.jpg", AREA | {"id": name}, AREA)]) for name in ("ins", "old")}
    done = arrange(lay(files), tmp_path / "made", Wanted(), lambda *_: None)
    assert made(tmp_path / "made", "train")[1] == [("rider", [5, 4, 20, 16], True)] * 2
    assert any("2 that are equal in different files count once" in note for note in done.notes)


def test_bdd100k_s_outlines_are_objects_where_none_has_a_box(lay: Lay, tmp_path: Path) -> None:
    files = {"train/a.jpg": None, "val/b.jpg": None, "ins_train.json": json.dumps({"frames": [bdd("a.jpg", AREA, LANE)]})}
    root = lay(files | {"ins_val.json": json.dumps([bdd("b.jpg", AREA)])})
    done = arrange(root, tmp_path / "made", Wanted(), lambda *_: None)
    assert made(tmp_path / "made", "train") == (["rider"], [("rider", [5, 4, 20, 16], True)])
    assert "open or curved outlines" in " ".join(done.notes)


def cub() -> dict[str, Any]:
    return {
        "images/001.Wren/w_1.jpg": None,
        "images/002.Owl/o_2.jpg": None,
        "images.txt": "1 001.Wren/w_1.jpg\n2 002.Owl/o_2.jpg\n",
        "image_class_labels.txt": "1 1\n2 2\n",
        "classes.txt": "1 001.Wren\n2 002.Owl\n",
        "train_test_split.txt": "1 1\n2 0\n",
        "bounding_boxes.txt": "1 2.0 3.0 10.0 8.0\n2 5.0 4.0 20.0 16.0\n",
    }


def test_cub_s_lists_give_classes_and_splits_and_boxes_where_they_are_asked_for(lay: Lay, tmp_path: Path) -> None:
    files = cub() | {"images/001.Wren/w_3.jpg": None, "images/002.Owl/o_4.jpg": None}
    files["images.txt"] += "3 001.Wren/w_3.jpg\n4 002.Owl/o_4.jpg\n"
    files["image_class_labels.txt"] += "3 1\n4 2\n"
    files["train_test_split.txt"] += "3 0\n4 1\n"
    files["bounding_boxes.txt"] += "3 1 1 4 4\n4 1 1 4 4\n"
    root = lay(files)
    assert recognise(root) == "cub"
    arrange(root, tmp_path / "made", Wanted(), lambda *_: None)
    found = sorted(str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*.jpg"))
    assert found == ["train/001.Wren/w_1.jpg", "train/002.Owl/o_4.jpg", "val/001.Wren/w_3.jpg", "val/002.Owl/o_2.jpg"]
    arrange(root, tmp_path / "boxes", Wanted(layout="coco"), lambda *_: None)
    assert made(tmp_path / "boxes", "train")[1] == [("001.Wren", [2, 3, 10, 8], False), ("002.Owl", [1, 1, 4, 4], False)]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("image_class_labels.txt", "1 1\n", "lacks a line"),
        ("train_test_split.txt", "1 1\n2 x\n", "says neither"),
        ("classes.txt", "1 Wren\n2 Wren\n", "gives two classes one name(.|\n)*'Wren' as 1 and as 2"),
        ("images.txt", "1 001.Wren/w_1.jpg\n1 002.Owl/o_2.jpg\n", "no line of such a list"),
    ],
)
def test_lists_that_contradict_are_refused(lay: Lay, tmp_path: Path, file: str, content: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        arrange(lay(cub() | {file: content}), tmp_path / "made", Wanted(), lambda *_: None)
