"""Label Studio's own JSON and JSON-MIN become the objects or classes that they say; what is ambiguous is counted or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import DataError
from transfer.arrange import recognise
from transfer.arrange.work import Wanted, arrange
from transfer.datasets.objects import DetectionData

WIDTH, HEIGHT = 40, 30
Lay = Callable[[dict[str, Any]], Path]
Run = Callable[..., Any]
FILES: dict[str, Any] = {f"images/{split}/{split}{at}.png": None for split in ("train", "val") for at in "01"}


def box(*corners: float, label: str = "cat", **more: Any) -> dict[str, Any]:
    """A box from its corners in pixels, as the server writes it."""
    left, top, right, bottom = corners
    shares = {"x": left / WIDTH * 100, "y": top / HEIGHT * 100}
    shares |= {"width": (right - left) / WIDTH * 100, "height": (bottom - top) / HEIGHT * 100, "rotation": 0}
    return result("rectanglelabels", shares | {"rectanglelabels": [label]} | more)


def polygon(*points: tuple[float, float], label: str = "dog", **more: Any) -> dict[str, Any]:
    shares = [[x / WIDTH * 100, y / HEIGHT * 100] for x, y in points]
    return result("polygonlabels", {"points": shares, "closed": True, "polygonlabels": [label]} | more)


def choice(*names: str, question: str = "choice") -> dict[str, Any]:
    return {"from_name": question, "to_name": "image", "type": "choices", "value": {"choices": list(names)}}


def result(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": "r", "from_name": "label", "to_name": "image", "type": kind, "value": value, **size}


def task(image: str, *annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    every = [{"id": at, "was_cancelled": False, "ground_truth": False, "result": each} for at, each in enumerate(annotations)]
    return {"id": 7, "data": {"image": image}, "annotations": every, "predictions": []} | more


def short(image: str, at: int = 1, **answers: Any) -> dict[str, Any]:
    """An entry of JSON-MIN."""
    end = {"annotator": 1, "annotation_id": at, "created_at": "2026-01-01", "updated_at": "2026-01-01", "lead_time": 4.5}
    return {"image": image, "id": at, **answers, **end}


def value(drawn: dict[str, Any]) -> dict[str, Any]:
    """What JSON-MIN keeps of a result."""
    return drawn["value"] | {name: drawn[name] for name in ("original_width", "original_height")}


def found(pictures: Any, data: DetectionData) -> dict[str, list[tuple[str, list[float]]]]:
    """Image → class and box of each of its objects, to a millionth of a pixel."""
    return {
        picture.path.stem: [
            (data.classes[label], [round(float(side), 6) for side in box])
            for label, box in zip(picture.labels, picture.boxes, strict=True)
        ]
        for picture in pictures
    }


TRIANGLE = polygon((10, 5), (30, 5), (10, 25))
ADDRESSES = [
    "/data/upload/3/0a1b2c3d-train0.png",  # what the server calls an uploaded file
    "/data/local-files/?d=some%5Cfolder%5Ctrain1.png",  # a folder of Windows that is served
    "s3://bucket/deep/val0.png",
    "https://example.org/val1.png?X-Amz-Signature=ab/cd",
]
OBJECTS = [[box(2, 3, 12, 11), TRIANGLE], [box(0, 0, 40, 30, label="dog")], [], [box(1.5, 2, 5.5, 8)]]
EXPECTED = (
    {"train0": [("cat", [2, 3, 12, 11]), ("dog", [10, 5, 30, 25])], "train1": [("dog", [0, 0, 40, 30])]},
    {"val0": [], "val1": [("cat", [1.5, 2, 5.5, 8])]},
)


def written(form: str) -> str:
    pairs = list(zip(ADDRESSES, OBJECTS, strict=True))
    if form == "short":
        return json.dumps(
            [short(address, at, label=[value(each) for each in said]) for at, (address, said) in enumerate(pairs)]
        )
    tasks = [task(address, said) for address, said in pairs]
    if form == "completions":
        tasks = [{"data": each["data"], "completions": each["annotations"]} for each in tasks]
    return json.dumps([each["annotations"][0] | {"task": each} for each in tasks] if form == "alone" else tasks)


@pytest.mark.parametrize("form", ["tasks", "completions", "alone", "short"])
def test_percentages_become_pixels_under_every_kind_of_address(run: Run, form: str) -> None:
    data, done = run(FILES | {"project-1.json": written(form)}, "label_studio_json", reading={"masks": False})
    assert data.classes == ("cat", "dog")
    assert (found(data.train, data), found(data.val, data)) == EXPECTED
    said = " ".join(done.notes)
    assert "1 images found by the names that they had before they were uploaded" in said
    assert "1 images have no objects; they are kept as background" in said


def test_outlines_are_kept(run: Run) -> None:
    data, _ = run(
        FILES | {"p.json": json.dumps([task("train0.png", [TRIANGLE]), task("val0.png", [TRIANGLE])])}, "label_studio_json"
    )
    outline = data.train[0].masks[0][0].round(6).tolist()
    assert outline == [10, 5, 30, 5, 10, 25]


def test_both_forms_of_one_project_in_a_folder_give_each_object_once(run: Run) -> None:
    files = FILES | {"project.json": written("tasks"), "project-min.json": written("short")}
    data, done = run(files, "label_studio_json", reading={"masks": False})
    assert (found(data.train, data), found(data.val, data)) == EXPECTED
    assert any("4 that are equal in different files count once" in note for note in done.notes)


def test_shapes_that_cannot_be_carried_are_counted_by_kind(run: Run) -> None:
    keypoint = result("keypointlabels", {"x": 1, "y": 1, "width": 0.5, "keypointlabels": ["eye"]})
    brush = result("brushlabels", {"format": "rle", "rle": [0, 0, 2, 128], "brushlabels": ["cat"]})
    again = result("rectangle", {name: box(1, 1, 5, 5)["value"][name] for name in ("x", "y", "width", "height", "rotation")})
    labelled = result("labels", again["value"] | {"labels": ["cat"]})  # Rectangle and Labels: the same shape, twice
    bare = result("rectangle", {"x": 1, "y": 1, "width": 9, "height": 9})
    odd = [
        box(1, 1, 5, 5, rotation=30),
        keypoint,
        brush,
        again,
        labelled,
        bare,
        box(1, 1, 1, 5),
        box(3, 3, 9, 9) | {"image_rotation": 90},
    ]
    odd += [box(1, 1, 9, 9, rectanglelabels=["cat", "dog"]), {"type": "relation", "from_id": "r", "to_id": "s"}]
    odd += [polygon((1, 1), (5, 1), (5, 5), closed=False), choice("day"), box(1, 1, 5, 5) | {"type": "choices"}]
    tasks = [task("train0.png", odd), task("val0.png", [box(2, 3, 12, 11)]), task("gone.png", [box(2, 3, 12, 11)])]
    tasks += [task("train1.png"), task("val1.png", [])]
    tasks[4]["annotations"][0]["was_cancelled"] = True
    data, done = run(FILES | {"p.json": json.dumps(tasks)}, "label_studio_json", reading={"masks": False})
    assert found(data.train, data) == {"train0": [("cat", [1, 1, 5, 5])]}
    said = "\n".join(done.notes)
    for what in (
        "1 rotated boxes left out",
        "1 results of the kind 'keypointlabels'",
        "1 results of the kind 'relation'",
        "1 masks of the brush, which Label Studio packs",
        "1 shapes without a class",
        "1 boxes without area",
        "1 objects on images that were turned",
        "1 objects of several classes, or of none",
        "1 open outlines",
        "1 choices of single objects",
        "classes of 1 images left out: objects are read",
        "1 images that aren't there",
        "1 tasks without an annotation",
        "1 annotations that were cancelled",
    ):
        assert what in said, what


def test_of_annotations_that_differ_the_ground_truth_counts_or_none(run: Run) -> None:
    one, other = [box(2, 3, 12, 11), TRIANGLE], [box(2, 3, 13, 11)]
    truth = task("val1.png", other, one)
    truth["annotations"][1]["ground_truth"] = True
    tasks = [task("train0.png", one, one[::-1]), task("train1.png", one, other), task("val0.png", one), truth]
    data, done = run(FILES | {"p.json": json.dumps(tasks)}, "label_studio_json", reading={"masks": False})
    assert set(found(data.train, data)) == {"train0"}
    assert found(data.val, data)["val1"] == [("cat", [2, 3, 12, 11]), ("dog", [10, 5, 30, 25])]
    assert any(
        "1 images whose annotations differ left out, the first is images/train/train1.png" in each for each in done.notes
    )
    assert any("of 1 images the annotation counts that is marked as right" in note for note in done.notes)


@pytest.mark.parametrize("form", ["tasks", "short"])
def test_choices_become_an_image_folder(run: Run, tmp_path: Path, form: str) -> None:
    said = {"train0": ["cat"], "train1": ["dog"], "val0": ["cat"], "val1": ["dog"], "val2": ["dog", "cat"]}
    tasks = [task(f"{name}.png", [choice(*names)]) for name, names in said.items()]
    tasks[0]["annotations"][0]["result"].append(choice("bright", question="light"))
    entries = [short(f"{name}.png", choice=names[0] if len(names) == 1 else {"choices": names}) for name, names in said.items()]
    entries[0] = {"caption": "a text of the task's own"} | entries[0] | {"light": "bright"}
    files = (
        FILES | {f"images/val/val{at}.png": None for at in "23"} | {"p.json": json.dumps(tasks if form == "tasks" else entries)}
    )
    _, done = run(files, "label_studio_json")
    assert done.layout == "imagefolder"
    assert done.counts == {"images": (2, 2), "classes": (2, 2)}
    made = {str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*.png")}
    assert made == {"train/cat/train0.png", "train/dog/train1.png", "val/cat/val0.png", "val/dog/val1.png"}
    assert any("1 images of several classes, or of none left out" in note for note in done.notes)
    assert any("1 images that no file names left out" in note for note in done.notes)


def test_an_image_of_other_proportions_is_refused_and_a_smaller_copy_read(run: Run, lay: Lay, tmp_path: Path) -> None:
    half = [box(2, 3, 12, 11) | {"original_width": 2 * WIDTH + 1, "original_height": 2 * HEIGHT}]
    files = FILES | {"p.json": json.dumps([task("train0.png", half), task("val0.png", half)])}
    data, done = run(files, "label_studio_json", reading={"masks": False})
    assert found(data.train, data) == {"train0": [("cat", [2, 3, 12, 11])]}
    assert any("2 images of another size than annotated, in the same proportions" in note for note in done.notes)
    lay({"p.json": json.dumps([task("train0.png", [half[0] | {"original_width": WIDTH}])])})
    with pytest.raises(DataError, match=r"other proportions than annotated(.|\n)*40 × 30(.|\n)*40 × 60, as annotated"):
        arrange(tmp_path / "export", tmp_path / "wrong", Wanted(val="0.5"), lambda *_: None)


PIXELS = result("rectanglelabels", {"x": 0, "y": 0, "width": 640, "height": 480, "rectanglelabels": ["cat"]})
BRUSH = result("brushlabels", {"format": "rle", "rle": [], "brushlabels": ["cat"]})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([task("train0.png", [box(1, 1, 5, 5, x=None)])], "'x' of result 0 of task 7 .* is not a number"),
        (
            [task("train0.png", [box(1, 1, 5, 5, rectanglelabels="cat")])],
            "'rectanglelabels' of result 0 of task 7 .* is not a list",
        ),
        ([task("train0.png", [TRIANGLE]), "task"], r"p.json\[1\] is not an object"),
        ([task("train0.png", [PIXELS])], "isn't in percent of the image"),
        ([task("train0.png", [{"type": "rectanglelabels", "from_name": "a", "to_name": "b", "value": 3}])], "is not an object"),
        ([task("train0.png", [BRUSH])], r"the export has no class(.|\n)*masks of the brush"),
        ([task("a.png", [TRIANGLE], data={"one": "train0.png", "two": "train1.png"})], r"several images(.|\n)*'one', 'two'"),
        (
            [task("train0.png", [choice("a", question="sky"), choice("b", question="ground")])],
            r"several questions(.|\n)*'sky', 'ground'",
        ),
        ([task("train0.png", [TRIANGLE]), {"id": 3, "annotations": [], "data": 4}], "'data' of task 3 .* is not an object"),
    ],
)
def test_what_is_wrong_is_one_error_that_names_the_task(lay: Lay, tmp_path: Path, content: Any, words: str) -> None:
    root = lay(FILES | {"p.json": json.dumps(content)})
    with pytest.raises(DataError, match=words):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)
    assert not (tmp_path / "made").exists()


def test_a_damaged_file_is_one_error_that_names_it(lay: Lay, tmp_path: Path) -> None:
    root = lay(FILES | {"p.json": written("tasks")[:-40]})
    with pytest.raises(DataError, match=r"can't read .*p.json as JSON"):
        arrange(root, tmp_path / "made", Wanted(), lambda *_: None)


def test_names_that_an_upload_changed_are_found_and_two_that_became_one_refused(run: Run, lay: Lay, tmp_path: Path) -> None:
    files: dict[str, Any] = {"train/photo (2).png": None, "val/b.png": None, "val/c.png": None}
    names = ("0a1b2c3d-photo_2.png", "0a1b2c3e-b.png")
    content = json.dumps([task(f"/data/upload/1/{name}", [box(2, 3, 12, 11)]) for name in names])
    data, done = run(files | {"p.json": content}, "label_studio_json", reading={"masks": False})
    assert [picture.path.stem for picture in (*data.train, *data.val)] == ["photo_(2)", "b"]
    assert any("2 images found by the names that they had before they were uploaded" in note for note in done.notes)
    assert any("1 images that no file names left out, the first is val/c.png" in note for note in done.notes)
    lay({"val/photo_(2).png": None})
    with pytest.raises(DataError, match=r"several images could have been uploaded as 'photo_2.png'(.|\n)*photo \(2\).png, val"):
        arrange(tmp_path / "export", tmp_path / "wrong", Wanted(), lambda *_: None)


def test_a_coco_file_beside_it_is_read_as_before_and_a_field_of_its_tasks_makes_it_no_coco_file(lay: Lay) -> None:
    coco = {"images": [{"id": 1, "file_name": "train0.png"}], "annotations": [], "categories": []}
    assert recognise(lay(FILES | {"annotations.json": coco, "project.json": written("tasks")})) == "coco_json"
    tasks = [task("train0.png", [TRIANGLE], data={"image": "train0.png", "file_name": "x"})]
    assert recognise(lay({"annotations.json": json.dumps(tasks), "project.json": "[]"})) == "label_studio_json"
