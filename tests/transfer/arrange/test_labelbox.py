"""Labelbox's export becomes the objects or classes that it says; what is ambiguous is counted or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import DataError
from transfer.arrange.work import Wanted, arrange
from transfer.datasets.objects import DetectionData

WIDTH, HEIGHT = 40, 30
Lay = Callable[[dict[str, Any]], Path]
Run = Callable[..., Any]
FILES: dict[str, Any] = {f"{split}/{split}{at}.png": None for split in ("train", "val") for at in "01"}


def box(name: str, *corners: float, **more: Any) -> dict[str, Any]:
    left, top, right, bottom = corners
    sides = {"top": top, "left": left, "height": bottom - top, "width": right - left}
    return {
        "name": name,
        "value": name,
        "annotation_kind": "ImageBoundingBox",
        "classifications": [],
        "bounding_box": sides,
    } | more


def polygon(name: str, *points: tuple[float, float]) -> dict[str, Any]:
    return {"name": name, "annotation_kind": "ImagePolygon", "polygon": [{"x": x, "y": y} for x, y in points]}


def shape(kind: str, field: str, content: Any) -> dict[str, Any]:
    return {"name": "cat", "annotation_kind": kind, "classifications": [], field: content}


def radio(answer: str, question: str = "class") -> dict[str, Any]:
    return {"name": question, "value": question, "radio_answer": {"name": answer, "value": answer, "classifications": []}}


def label(*objects: dict[str, Any], classes: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
    annotations = {"objects": list(objects), "classifications": list(classes), "relationships": []}
    return {"label_kind": "Default", "id": "l", "annotations": annotations, "performance_details": {"skipped": False}} | more


def data_row(names: dict[str, Any], *labels: dict[str, Any], project: str = "p", **more: Any) -> dict[str, Any]:
    media = {"height": HEIGHT, "width": WIDTH, "mime_type": "image/png"}
    projects = {project: {"name": f"project {project}", "labels": list(labels)}}
    return {"data_row": {"id": "c1"} | names, "media_attributes": media, "projects": projects} | more


def named(name: str) -> dict[str, Any]:
    return {"external_id": f"{name}.png", "row_data": f"https://storage.example.org/x/{name}?Expires=1"}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)


def found(pictures: Any, data: DetectionData) -> dict[str, list[tuple[str, list[float]]]]:
    return {
        picture.path.stem: [(data.classes[at], box.tolist()) for at, box in zip(picture.labels, picture.boxes, strict=True)]
        for picture in pictures
    }


TRIANGLE = polygon("dog", (10, 5), (30, 5), (10, 25))
ROWS = [
    data_row({"external_id": "train0.png", "row_data": "https://example.org/3f"}, label(box("cat", 2, 3, 12, 11), TRIANGLE)),
    data_row(
        {"external_id": "a\u2028note", "row_data": "gs://bucket/train1.png?X-Goog=a/b"}, label(box("big cat", 0, 0, 40, 30))
    ),
    data_row({"row_data": "https://example.org/4a", "global_key": "val0.png"}, label()),
    data_row(named("val1"), label(box("cat", 1.5, 2, 5.5, 8))),
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("export.ndjson", lines(*ROWS)),
        ("export.json", json.dumps(ROWS)),
        ("export.json", lines(*ROWS)),
        ("e.jsonl", lines(*ROWS)),
    ],
)
def test_boxes_and_outlines_keep_their_pixels_in_every_form(run: Run, name: str, content: str) -> None:
    data, done = run(FILES | {name: content}, "labelbox", reading={"masks": False})
    assert data.classes == ("big cat", "cat", "dog")
    triangle = ("dog", [10, 5, 30, 25])
    assert found(data.train, data) == {"train0": [("cat", [2, 3, 12, 11]), triangle], "train1": [("big cat", [0, 0, 40, 30])]}
    assert found(data.val, data) == {"val0": [], "val1": [("cat", [1.5, 2, 5.5, 8])]}
    assert any("1 images have no objects; they are kept as background" in note for note in done.notes)


def test_what_cannot_be_carried_is_counted_by_kind(run: Run) -> None:
    mask = shape("ImageSegmentationMask", "mask", {"url": "https://example.org/mask"})
    line = shape("ImageLine", "line", [{"x": 1, "y": 1}, {"x": 2, "y": 2}])
    fine = box("cat", 2, 3, 12, 11, classifications=[radio("red", "colour")])
    text = {"name": "remark", "text_answer": {"content": "blurred"}}
    skipped = label(fine, performance_details={"skipped": True})
    rows = [data_row(named("train0"), label(mask, line, fine, box("cat", 1, 1, 1, 5), classes=(radio("day"), text)))]
    rows += [data_row(named("val0"), label(fine)), data_row(named("val1"), skipped), data_row(named("train1"))]
    rows += [data_row(named("gone"), label(fine))]
    data, done = run(FILES | {"e.ndjson": lines(*rows)}, "labelbox", reading={"masks": False})
    assert found(data.train, data) == {"train0": [("cat", [2, 3, 12, 11])]}
    assert found(data.val, data) == {"val0": [("cat", [2, 3, 12, 11])]}
    said = "\n".join(done.notes)
    for what in (
        "1 masks, of which the export has the address alone left out",
        "1 shapes of the kind 'ImageLine'",
        "1 boxes without area",
        "2 classifications of single objects",
        "1 answers that are no choices",
        "classes of 1 images left out: objects are read",
        "1 labels that were skipped",
        "1 data rows without a label",
        "1 images that aren't there",
    ):
        assert what in said, what


def test_labels_that_differ_leave_their_image_out(run: Run) -> None:
    one, other = label(box("cat", 2, 3, 12, 11), TRIANGLE), label(box("cat", 2, 3, 12, 12), TRIANGLE)
    again = label(TRIANGLE, box("cat", 2, 3, 12, 11))
    rows = [data_row(named("train0"), one, again), data_row(named("train1"), one, other), data_row(named("val0"), one)]
    data, done = run(FILES | {"e.ndjson": lines(*rows)}, "labelbox", reading={"masks": False})
    assert found(data.train, data) == {"train0": [("cat", [2, 3, 12, 11]), ("dog", [10, 5, 30, 25])]}
    assert any("1 images whose annotations differ left out" in note for note in done.notes)
    assert any("1 images that no file names left out, the first is val/val1.png" in note for note in done.notes)


def test_choices_become_an_image_folder(run: Run, tmp_path: Path) -> None:
    two = {"name": "class", "checklist_answers": [{"name": "cat", "value": "cat"}, {"name": "dog", "value": "dog"}]}
    one = {"name": "class", "checklist_answers": two["checklist_answers"][1:]}
    rows = [data_row(named("train0"), label(classes=(radio("cat"), radio("dark", "light"))))]
    rows += [data_row(named("train1"), label(classes=(one,))), data_row(named("val0"), label(classes=(radio("cat"),)))]
    rows += [data_row(named("val1"), label(classes=(radio("dog"),))), data_row(named("val2"), label(classes=(two,)))]
    _, done = run(FILES | {"val/val2.png": None, "e.ndjson": lines(*rows)}, "labelbox")
    made = {str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*.png")}
    assert made == {"train/cat/train0.png", "train/dog/train1.png", "val/cat/val0.png", "val/dog/val1.png"}
    assert any("1 images of several classes, or of none left out" in note for note in done.notes)


CAT = label(box("cat", 2, 3, 12, 11))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            lines(ROWS[0], data_row(named("val1"), label(box("cat", 1, 2, 3, float("nan"))))),
            "'height' of object 0 of data row 2",
        ),
        (
            lines(data_row(named("val1"), label(shape("Box", "bounding_box", [1, 2, 3, 4])))),
            "'bounding_box' of object 0 of data row 1 .* is not an object",
        ),
        (
            lines(data_row(named("val1"), label(shape("Polygon", "polygon", [[1, 2]])))),
            "'polygon' of object 0 of data row 1 .* is not an object",
        ),
        (
            lines(ROWS[0], data_row(named("val1"), CAT, project="q")),
            r"several projects have labels(.|\n)*'project p', 'project q'",
        ),
        (
            lines(data_row(named("val1"), CAT, media_attributes={"width": 30, "height": 40})),
            r"another size than data row 1(.|\n)*30 × 40",
        ),
        (
            lines(data_row(named("val1") | {"global_key": "val0.png"}, CAT)),
            r"data row 1 .* could be of several images(.|\n)*val0.png",
        ),
        (lines(*ROWS)[:-30], r"can't read .*e.ndjson as JSON, an object a line(.|\n)*line 4: "),
        (json.dumps(ROWS)[:-30], "can't read .*e.ndjson as JSON"),
        (lines(data_row(named("val1"), label(shape("Mask", "mask", {"url": "x"})))), r"the export has no class(.|\n)*masks"),
    ],
)
def test_what_is_wrong_is_one_error_that_names_the_data_row(lay: Lay, tmp_path: Path, content: str, words: str) -> None:
    root = lay(FILES | {"e.ndjson": content})
    with pytest.raises(DataError, match=words):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)
    assert not (tmp_path / "made").exists()


def former(name: str, *objects: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An entry of the export of before 2024."""
    label = {"objects": list(objects), "classifications": []}
    return {"ID": "l", "External ID": f"{name}.png", "Labeled Data": "https://example.org/3f", "Label": label} | more


def test_the_former_export_is_read_alike(run: Run, tmp_path: Path) -> None:
    cat = {"title": "big cat", "value": "big_cat", "bbox": {"top": 3, "left": 2, "height": 8, "width": 10}}
    dog = {"title": "dog", "value": "dog", "polygon": TRIANGLE["polygon"]}
    rows = [former("train0", cat, dog, {"title": "dog", "instanceURI": "https://example.org/mask"})]
    rows += [former("val0", cat), former("val1", Label="Skip"), former("train1", Skipped=True)]
    data, done = run(FILES | {"export.json": json.dumps(rows)}, "labelbox", reading={"masks": False})
    assert found(data.train, data) == {"train0": [("big cat", [2, 3, 12, 11]), ("dog", [10, 5, 30, 25])]}
    assert found(data.val, data) == {"val0": [("big cat", [2, 3, 12, 11])]}
    said = " ".join(done.notes)
    assert "1 masks, of which the export has the address alone left out" in said
    assert "2 labels that were skipped left out" in said


def test_the_former_export_s_answers_are_classes(run: Run) -> None:
    def answered(name: str, answer: Any) -> dict[str, Any]:
        return former(name, Label={"objects": [], "classifications": [{"title": "kind", "value": "kind", **answer}]})

    rows = [answered("train0", {"answer": {"title": "cat"}}), answered("train1", {"answers": [{"title": "dog"}]})]
    rows += [answered("val0", {"answer": {"title": "cat"}}), answered("val1", {"answer": {"title": "dog"}})]
    _, done = run(FILES | {"export.json": json.dumps(rows)}, "labelbox")
    assert (done.layout, done.counts) == ("imagefolder", {"images": (2, 2), "classes": (2, 2)})
