"""The COCO layout: what is read, and what is said of what can't be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from pretrain.core.errors import DataError
from transfer.datasets import coco
from transfer.datasets.objects import read_image

FACADE = Path(__file__).resolve().parents[4] / "shared/data/coco_facade"
Lay = Callable[..., Path]


def edit(root: Path, change: Callable[[dict[str, Any]], object], split: str = "train2017") -> Path:
    path = root / "annotations" / f"instances_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_categories_get_labels_in_the_order_of_their_ids(lay_coco: Lay) -> None:
    data = coco.read(lay_coco())
    assert data.classes == ("blue", "green", "red")
    raw = json.loads((data.train[0].path.parents[1] / "annotations/instances_train2017.json").read_text())
    order = {3: 0, 8: 1, 90: 2}
    for picture in data.train:
        expected = [order[each["category_id"]] for each in raw["annotations"] if each["image_id"] == picture.identity]
        assert picture.labels.tolist() == expected


def test_boxes_are_corners_and_polygons_stay_as_they_are(lay_coco: Lay) -> None:
    root = lay_coco()
    edit(root, lambda content: content["annotations"][0].update(bbox=[1.5, 2, 10, 20.25], segmentation=[[1, 2, 3, 4, 5, 6]]))
    first = coco.read(root).train[0]
    assert first.boxes[0].tolist() == [1.5, 2, 11.5, 22.25]
    assert first.masks is not None
    assert [each.tolist() for each in first.masks[0]] == [[1, 2, 3, 4, 5, 6]]


def test_crowd_regions_are_kept_for_the_metric_and_not_trained_on(lay_coco: Lay) -> None:
    root = lay_coco()
    for split in ("train2017", "val2017"):
        edit(root, lambda content: content["annotations"][0].update(iscrowd=1), split)
    data = coco.read(root)
    assert data.train[0].trainable.tolist() == [False, True]
    assert data.val[0].crowd.tolist() == [True, False]


@pytest.mark.parametrize("compressed", [False, True])
def test_run_length_encodings_are_read(lay_coco: Lay, compressed: bool) -> None:
    pixels = np.zeros((80, 96), dtype=np.uint8)
    pixels[10:30, 20:50] = 1
    if compressed:
        encoding = coco_mask.encode(np.asfortranarray(pixels))
        encoding["counts"] = encoding["counts"].decode()
    else:
        runs = np.flatnonzero(np.diff(pixels.ravel(order="F"), prepend=0, append=0))
        counts = np.diff(np.concatenate([[0], runs, [pixels.size]])).tolist()
        encoding = {"size": [80, 96], "counts": counts[:-1] if counts[-1] == 0 else counts}
    root = lay_coco()
    edit(root, lambda content: content["annotations"][0].update(segmentation=encoding))
    masks = coco.read(root).train[0].masks
    assert masks is not None
    assert np.array_equal(coco_mask.decode(masks[0]), pixels)


def test_boxes_without_area_are_dropped_and_polygons_below_three_points_are_no_mask_and_both_are_counted(lay_coco: Lay) -> None:
    root = lay_coco()

    def spoil(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = [[1, 2, 3, 4]]
        content["annotations"][1]["bbox"] = [5, 5, 0, 9]
        content["annotations"][2]["segmentation"] = [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6]]

    edit(root, spoil)
    data = coco.read(root)
    assert len(data.train) == 5
    assert data.train[0].masks is not None
    assert len(data.train[0].masks[0]) == 1
    path = root / "train2017/000000.png"
    assert data.notes == (
        "1 boxes without area left out, the first is annotations[1] in instances_train2017.json",
        "1 training images without objects left out",
        "1 of 19 objects are boxes without a mask: they count for AP_box, not for AP_seg, and are not trained on; "
        f"the first is object 1 of {path}",
    )


def test_the_measures_are_the_files_own_numbers_in_double_precision(lay_coco: Lay) -> None:
    root = lay_coco()
    edit(root, lambda content: content["annotations"][0].update(bbox=[1.1, 2.3, 10.7, 20.9], area=99.123456789))
    edit(root, lambda content: content["annotations"][1].pop("area"))
    data = coco.read(root)
    assert data.category_ids == (3, 8, 90)
    assert data.train[0].measures is not None
    assert data.train[0].measures[0].tolist() == [1.1, 2.3, 10.7, 20.9, 99.123456789]
    assert data.train[0].measures[1][4] == data.train[0].measures[1][2] * data.train[0].measures[1][3]


def test_what_is_missing_is_to_be_put_where_the_rest_is(lay_coco: Lay) -> None:
    root = lay_coco()
    for path in (root / "annotations").iterdir():
        path.rename(path.with_name("other.txt"))
    with pytest.raises(DataError, match=r"do: *put instances_train2017\.json into .*annotations"):
        coco.read(root)


@pytest.mark.parametrize(("orientation", "words"), [(6, "EXIF orientation turns"), (1, "exchange width and height")])
def test_sides_that_are_exchanged_are_said_with_their_cause(lay_coco: Lay, orientation: int, words: str) -> None:
    root = lay_coco(train=1)
    path, exif = root / "train2017/000000.png", Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        (image if orientation == 6 else image.rotate(90, expand=True)).save(path, exif=exif)
    with pytest.raises(DataError, match=words):
        read_image(coco.read(root).train[0])


def test_a_number_is_a_category_s_name_and_noted(lay_coco: Lay) -> None:
    root = lay_coco()
    for split in ("train", "val"):
        edit(root, lambda content: content["categories"][0].update(name=7), f"{split}2017")
    data = coco.read(root)
    assert "7" in data.classes
    assert any(note.startswith("2 categories whose name is a number") for note in data.notes)


@pytest.mark.parametrize("missing", ["annotations", "annotations/instances_train2017.json", "train2017", "val2017"])
def test_a_wrong_layout_names_the_first_wrong_path(lay_coco: Lay, tmp_path: Path, missing: str) -> None:
    root = lay_coco()
    (root / missing).rename(tmp_path / "away")
    with pytest.raises(DataError) as caught:
        coco.read(root)
    assert f"{root / missing} is missing" in str(caught.value)
    assert "do:" in str(caught.value)


def broken(group: str, **values: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[group][1].update(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (broken("annotations", bbox=[1, 2, 3]), r"annotations\[1\].*'bbox'"),
        (broken("annotations", bbox="none"), r"annotations\[1\].*'bbox'"),
        (broken("annotations", image_id="7"), r"annotations\[1\].*'image_id'"),
        (broken("annotations", image_id=12345), r"annotations\[1\].*image_id 12345"),
        (broken("annotations", category_id=4), r"annotations\[1\].*category_id 4"),
        (broken("annotations", segmentation=[["a"]]), r"annotations\[1\].*'segmentation'"),
        (broken("annotations", segmentation={"size": [2, 2]}), r"annotations\[1\].*'segmentation'"),
        (broken("images", width="96"), r"images\[1\].*'width'"),
        (broken("images", file_name="away.png"), "away.png is missing"),
        (broken("categories", id=90), "each category once"),
        (broken("categories", id="8"), r"categories\[1\].*'id'"),
        (broken("categories", name=[7]), r"categories\[1\].*'name'"),
        (broken("categories", name="\ud800"), r"categories\[1\].*'name'"),
        (lambda content: content.update(categories=[]), "seen:    no category"),
        (broken("images", id=5), r"images\[1\].*has the id 5 of images\[0\]"),
        (broken("images", id=2**63), r"images\[1\].*'id'"),
        (broken("images", width=-1), r"images\[1\].*'width'"),
        (broken("images", width=95.5), r"images\[1\].*'width'"),
        (broken("annotations", bbox=None, segmentation=None), r"annotations\[1\].*'bbox'"),
        (broken("images", file_name=None), r"images\[1\].*'file_name'"),
        (broken("images", file_name=None, coco_url="http://a/b/away.png"), r"images\[1\].*'file_name'.*'coco_url'"),
        (broken("images", file_name="C:\\a\\000001.png"), r"images\[1\].*outside its folder[\s\S]*do: .*'000001.png'"),
        (broken("images", file_name="/data/local-files/?d=a%5C000001.png"), r"outside its folder[\s\S]*do: .*'000001.png'"),
        (broken("images", file_name="images\\000001.png"), r"is missing[\s\S]*do: .*'000001.png'.*a backslash, as in Windows"),
        (broken("images", file_name="000001.bmp"), r"000001.bmp is missing[\s\S]*do: .*'000001.png'"),
        (broken("images", height=10**6), r"images\[1\].*'height'"),
        (broken("images", file_name="../../etc/passwd"), r"images\[1\].*outside its folder"),
        (broken("images", file_name="/etc/passwd"), r"images\[1\].*outside its folder"),
        (broken("images", file_name="sub/000001.png"), r"sub/000001.png is missing[\s\S]*do: .*'000001.png'"),
        (broken("images", file_name=".."), r"images\[1\].*outside its folder"),
        (broken("images", file_name="a\0b"), r"images\[1\].*outside its folder"),
        (broken("images", file_name="x" * 5000), "outside its folder"),
        (broken("annotations", bbox=[1, 2, 3, float("nan")]), r"annotations\[1\].*'bbox'"),
        (broken("annotations", bbox=[1, 2, 3, 10**400]), r"annotations\[1\].*'bbox'"),
        (broken("annotations", bbox=[1, 2, 3, True]), r"annotations\[1\].*'bbox'"),
        (broken("annotations", bbox=["1", "2", "3", "4"]), r"annotations\[1\].*'bbox'"),
        (broken("annotations", area="large"), r"annotations\[1\].*'area'"),
        (broken("annotations", area=float("nan")), r"annotations\[1\].*'area'"),
        (broken("annotations", area=-1), r"annotations\[1\].*'area'"),
        (broken("annotations", iscrowd="maybe"), r"annotations\[1\].*'iscrowd'"),
        (broken("annotations", iscrowd=2), r"annotations\[1\].*'iscrowd'"),
        (broken("annotations", segmentation={"size": [2, 2], "counts": [0, 4]}), r"annotations\[1\].*another size"),
        (broken("annotations", segmentation={"size": [80, 96], "counts": [4]}), r"annotations\[1\][\s\S]*doesn't cover"),
        (broken("annotations", segmentation=[[1, 2, 3, 4, 5, 1e12]]), r"annotations\[1\].*'segmentation'"),
        (lambda content: content.pop("annotations"), "no list 'annotations'"),
        (lambda content: content["images"].append(3), r"images\[6\].*not an object"),
        (
            broken("categories", name="violet"),
            r"name other categories\n.*the id 3 is 'violet' in the first, 'blue' in the second",
        ),
        (lambda content: content["annotations"].clear(), "no objects to train on"),
    ],
)
def test_a_broken_annotation_is_named_with_its_place(lay_coco: Lay, change: Callable[..., object], words: str) -> None:
    root = lay_coco()
    path = edit(root, change)
    with pytest.raises(DataError, match=words) as caught:
        coco.read(root)
    assert str(path) in str(caught.value) or str(root) in str(caught.value)


def test_a_file_that_is_not_json_is_named(lay_coco: Lay) -> None:
    root = lay_coco()
    path = root / "annotations/instances_val2017.json"
    path.write_text("{")
    with pytest.raises(DataError, match="as JSON") as caught:
        coco.read(root)
    assert str(path) in str(caught.value)


def test_ids_of_annotations_may_repeat_or_be_absent(lay_coco: Lay) -> None:
    root = lay_coco()
    before = coco.read(root)
    edit(root, lambda content: [each.update(id=7) for each in content["annotations"][:4]])
    edit(root, lambda content: content["annotations"][5].pop("id"))
    assert [each.labels.tolist() for each in coco.read(root).train] == [each.labels.tolist() for each in before.train]


def test_links_in_the_image_folder_are_followed(lay_coco: Lay, tmp_path: Path) -> None:
    root = lay_coco()
    path = root / "train2017/000001.png"
    path.rename(tmp_path / "elsewhere.png")
    path.symlink_to(tmp_path / "elsewhere.png")
    assert len(coco.read(root).train) == 6


def test_a_check_collects_what_a_run_stops_at_and_keeps_the_rest(lay_coco: Lay) -> None:
    root = lay_coco()
    edit(root, lambda content: content["annotations"][0].update(bbox=[1]))
    edit(root, lambda content: content["annotations"][3].update(category_id=4))
    edit(root, lambda content: content["images"][5].update(file_name="away.png"))
    problems: list[DataError] = []
    data = coco.read(root, tell=problems.append)
    assert [problem.wrong.split(" ")[0] for problem in problems[:2]] == ["annotations[0]", "annotations[3]"]
    assert "away.png is missing" in problems[2].wrong
    assert len(problems) == 3
    assert [len(each.labels) for each in data.train] == [1, 1, 2, 2, 2]


@pytest.mark.skipif(not FACADE.is_dir(), reason="the shared data is not there")
def test_facades_are_read() -> None:
    data = coco.read(FACADE)
    assert (data.ref.train, data.ref.val, data.ref.classes) == (478, 120, 10)
    assert sum(len(each.labels) for each in data.train) == 15373
    assert data.notes == ()


FORMS = {
    "below a folder": ("batch 1/a.png", "batch 1/a.png"),
    "with a Windows path": ("batch 1/a.png", "batch 1\\\\a.png"),
    "with URL codes": ("batch 1/a.png", "batch%201/a.png"),
    "with URL codes for slashes": ("batch 1/a.png", "batch%201%5Ca.png"),
    "with its ending in capitals": ("a.PNG", "a.png"),
    "in other case": ("Img_a.png", "IMG_A.png"),
    "composed": ("e\u0301.png", "\u00e9.png"),
    "decomposed": ("\u00e9.png", "e\u0301.png"),
    "with blanks around it": ("a.png", " a.png "),
    "from this folder": ("a.png", "./a.png"),
    "from the folder above": ("a.png", "train2017/a.png"),
    "that is URL codes itself": ("a%20b.png", "a%20b.png"),
}


@pytest.mark.parametrize(("there", "written"), FORMS.values(), ids=FORMS)
def test_an_image_is_found_under_a_name_of_another_form_and_that_is_noted(lay_coco: Lay, there: str, written: str) -> None:
    root = lay_coco()
    (root / "train2017" / there).parent.mkdir(exist_ok=True)
    (root / "train2017/000001.png").rename(root / "train2017" / there)
    edit(root, lambda content: content["images"][1].update(file_name=written))
    data = coco.read(root)
    assert root / "train2017" / there in [picture.path for picture in data.train]
    remarks = [note for note in data.notes if "name of another form" in note]
    assert remarks == (
        []
        if there == written
        else [f"1 images found under a name of another form, the first is {written!r}, which is {there!r}"]
    )


def test_of_several_names_of_one_form_none_is_taken(lay_coco: Lay) -> None:
    root = lay_coco()
    for name in ("a.PNG", "A.png"):
        (root / "train2017" / name).write_bytes((root / "train2017/000001.png").read_bytes())
    edit(root, lambda content: content["images"][1].update(file_name="a.png"))
    with pytest.raises(DataError, match=r"several names.*\n  seen:    'A.png', 'a.PNG'"):
        coco.read(root)
    (root / "train2017/a.png").symlink_to("000001.png")
    assert coco.read(root).notes == ()


def test_links_that_lead_nowhere_and_folders_are_one_wrong_image_each(lay_coco: Lay) -> None:
    root = lay_coco()
    for name, target in (("000000.png", "/mnt/gone.png"), ("000001.png", "000001.png"), ("000002.png", None)):
        (root / "train2017" / name).unlink()
        (root / "train2017" / name).symlink_to(target) if target else (root / "train2017" / name).mkdir()
    problems: list[DataError] = []
    assert len(coco.read(root, tell=problems.append).train) == 3
    for problem, words in zip(problems, ("gone.png, which is not there", "leads back to itself", "is a folder"), strict=True):
        assert words in str(problem)


def test_values_that_can_mean_one_thing_only_are_read_and_noted(lay_coco: Lay) -> None:
    root = lay_coco()
    before = coco.read(root)

    def change(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            entry.update(image_id=float(entry["image_id"]), category_id=float(entry["category_id"]), area=None, iscrowd=None)
            left, top, width, height = entry.pop("bbox")
            entry["segmentation"] = [[left, top, left + width, top, left + width, top + height, left, top + height]]
        for number, entry in enumerate(content["images"]):
            entry.update(id=float(entry["id"]), width=(None, 0, 96.0)[number % 3])
            entry["coco_url"] = f"http://images.example.org/train2017/{entry.pop('file_name')}"

    edit(root, change)
    data, same = coco.read(root), ("path", "width", "height", "identity")
    for ours, theirs in zip(data.train, before.train, strict=True):
        assert [getattr(ours, name) for name in same] == [getattr(theirs, name) for name in same]
        assert np.allclose(ours.boxes, theirs.boxes)
    for words in ("whole numbers written with a point", "boxes computed from their masks", "coco_url", "taken from the image"):
        assert any(words in note for note in data.notes), words


def test_objects_of_a_refused_image_are_no_further_problems(lay_coco: Lay) -> None:
    root = lay_coco()
    edit(root, lambda content: content["images"][1].update(height="80"))
    edit(root, lambda content: content["categories"][1].update(name=None))
    problems: list[DataError] = []
    coco.read(root, tell=problems.append)
    assert not [problem for problem in problems if "not in the file" in str(problem)]
    assert "images[1]" in str(problems[0])


def test_a_box_is_computed_from_a_run_length_encoding(lay_coco: Lay) -> None:
    root = lay_coco()
    counts = [80 * 10 + 5, 20, 60, 20, 80 * 96 - 80 * 10 - 105]  # columns 10 and 11, rows 5 to 24
    encoding = {"size": [80, 96], "counts": counts}
    edit(root, lambda content: content["annotations"][0].update(bbox=[], segmentation=encoding))
    assert coco.read(root).train[0].boxes[0].tolist() == [10, 5, 12, 25]
