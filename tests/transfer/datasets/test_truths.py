"""Truth that can give no number, or another one: the same words for a check, which collects, and for a run, which stops."""

import json
import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer import datasets, tasks
from transfer.datasets import coco
from transfer.tasks import TaskSettings

TRANSFER = Path(__file__).parents[1]
TINY = runpy.run_path(str(TRANSFER / "tiny_scenes.py"))
LAYING = runpy.run_path(str(TRANSFER / "conftest.py"))
voc_xml, Thing = LAYING["voc_xml"], LAYING["Thing"]
Lay = Callable[..., Path]
Change = Callable[[dict[str, Any]], object]


def findings(task: str, root: Path, **settings: object) -> tuple[list[str], tuple[str, ...]]:
    """What a check says is wrong, and the notes; a run must stop at the first of the one, and have the same others."""
    found = tasks.get(task)
    asked: TaskSettings = found.settings.replace(settings)
    problems: list[DataError] = []
    checked = datasets.read(found.layout, root, asked, problems.append)
    if problems:
        with pytest.raises(DataError) as caught:
            datasets.read(found.layout, root, asked)
        assert str(caught.value) == str(problems[0])
    else:
        assert datasets.read(found.layout, root, asked).notes == checked.notes
    return [str(problem) for problem in problems], checked.notes


def the_error(task: str, root: Path, **settings: object) -> str:
    errors, _ = findings(task, root, **settings)
    (error,) = errors
    return error


def the_notes(task: str, root: Path, **settings: object) -> str:
    errors, notes = findings(task, root, **settings)
    assert errors == []
    return "\n".join(notes)


def edit(root: Path, change: Change, *splits: str) -> Path:
    for split in splits or ("train2017", "val2017"):
        path = root / f"annotations/instances_{split}.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return root


def every(**values: object) -> Change:
    return lambda content: [each.update(values) for each in content["annotations"]]


def boxes(change: Callable[[list[float]], list[float]]) -> Change:
    return lambda content: [each.update(bbox=change(each["bbox"])) for each in content["annotations"]]


def as_shares(box: list[float]) -> list[float]:
    return [box[0] / 96, box[1] / 80, box[2] / 96, box[3] / 80]


def as_corners(box: list[float]) -> list[float]:
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def without_images(content: dict[str, Any]) -> None:
    content["images"].clear()
    content["annotations"].clear()


def test_healthy_sets_have_no_degenerate_truth(lay_coco: Lay, lay_voc: Lay) -> None:
    assert findings("coco-c4", lay_coco()) == ([], ())
    assert findings("coco-c4-box", lay_coco(name="other")) == ([], ())
    assert findings("voc07", lay_voc()) == ([], ())


@pytest.mark.parametrize(
    ("change", "split", "words"),
    [
        (without_images, "val2017", "no image to evaluate on"),
        (lambda content: content["annotations"].clear(), "val2017", "nothing to find in the validation images"),
        (every(iscrowd=1), "val2017", "8 objects, all of them crowd regions or difficult ones"),
        (without_images, "train2017", "no objects to train on"),
        (every(iscrowd=1), "train2017", "all 12 objects are crowd regions (iscrowd 1), not trained on"),
        (every(segmentation=[]), "train2017", "12 boxes, of which none has a mask"),
        (boxes(as_shares), "val2017", "are shares of the image"),
        (boxes(lambda box: [*box[:2], 0.5, 0.25]), "train2017", "are all smaller than a pixel"),
        (boxes(lambda box: [box[0] + 500, *box[1:]]), "train2017", "lie outside their images"),
        (lambda content: content["images"][1].update(file_name="000000.png"), "train2017", "is there twice in train2017"),
    ],
)
def test_coco_from_which_no_number_can_come_is_refused(lay_coco: Lay, change: Change, split: str, words: str) -> None:
    assert words in the_error("coco-c4", edit(lay_coco(), change, split))


def test_corners_in_the_place_of_sizes_are_refused_where_most_boxes_then_reach_out(lay_coco: Lay) -> None:
    root = edit(lay_coco(train=12, val=8), boxes(as_corners))
    images = {each["id"]: each for each in json.loads((root / "annotations/instances_val2017.json").read_text())["images"]}
    assert len(images) == 8
    error = the_error("coco-c4", root)
    assert "are two corners: x1, y1, x2, y2" in error
    assert "write x1, y1, x2 - x1, y2 - y1" in error


def test_what_can_give_a_number_and_is_odd_is_noted(lay_coco: Lay) -> None:
    root = edit(lay_coco(), boxes(lambda box: [box[0], box[1], box[2] + 96, box[3]]), "train2017")
    assert "most boxes of train2017 reach out of their image: 12 of 12" in the_notes("coco-c4", root)
    edit(root, lambda content: content["annotations"][0].update(bbox=[0.1, 0.2, 0.3, 0.4]), "val2017")
    assert "1 boxes of val2017 have numbers of at most 1, like shares of the image" in the_notes("coco-c4", root)


def test_an_image_in_both_splits_is_noted_whatever_its_name(lay_coco: Lay) -> None:
    root = lay_coco()
    (root / "val2017/001000.png").unlink()
    os.link(root / "train2017/000000.png", root / "val2017/001000.png")
    assert "1 images are both trained on and evaluated on" in the_notes("coco-c4", root)


def test_validation_images_that_are_not_evaluated_give_no_number(lay_coco: Lay) -> None:
    root = lay_coco()
    first = json.loads((root / "annotations/instances_val2017.json").read_text())["images"][0]["id"]
    edit(
        root,
        lambda content: content.update(annotations=[a for a in content["annotations"] if a["image_id"] != first]),
        "val2017",
    )
    assert "nothing to find" in the_error("coco-c4", root, max_val_images=1)
    assert findings("coco-c4", root)[0] == []


def test_classes_that_differ_by_case_alone_are_noted(lay_voc: Lay) -> None:
    root = lay_voc()
    (root / "VOC2007/Annotations/000000.xml").write_text(voc_xml([Thing("Red", (5, 5, 30, 30))]))
    assert "'Red' and 'red'" in the_notes("voc07", root)


def test_voc_boxes_as_shares_and_difficult_objects_alone_are_refused(lay_voc: Lay) -> None:
    root = lay_voc(train=2, val=1)
    test = root / "VOC2007/Annotations/001000.xml"
    test.write_text(voc_xml([Thing("red", (0.1, 0.2, 0.5, 0.6)), Thing("blue", (0, 0, 1, 1))]))
    assert "are shares of the image" in the_error("voc07", root)
    test.write_text(voc_xml([Thing("red", (5, 5, 30, 30))], difficult=1))
    assert "difficult ones, which count nowhere" in the_error("voc07", root)


@pytest.mark.parametrize(("word", "difficult"), [("True", True), (" 1 ", True), ("yes", True), ("False", False), ("", False)])
def test_difficult_is_read_by_its_word(lay_voc: Lay, word: str, difficult: bool) -> None:
    root = lay_voc()
    (root / "VOC2007/Annotations/000000.xml").write_text(voc_xml([Thing("red", (5, 5, 30, 30))], difficult=word))
    assert datasets.read("voc", root, tasks.get("voc07").settings).train[0].difficult.tolist() == [difficult]


@pytest.mark.parametrize("word", ["2", "perhaps", "-1"])
def test_difficult_that_is_neither_word_is_refused(lay_voc: Lay, word: str) -> None:
    root = lay_voc()
    path = root / "VOC2007/Annotations/000000.xml"
    path.write_text(voc_xml([Thing("red", (5, 5, 30, 30))], difficult=word))
    assert f"<difficult> of object 1 in {path}" in the_error("voc07", root)


@pytest.mark.parametrize(
    ("value", "crowd"), [(True, True), ("1", True), (1.0, True), ("false", False), (None, False), (0, False)]
)
def test_iscrowd_is_read_by_its_word(lay_coco: Lay, value: object, crowd: bool) -> None:
    root = edit(lay_coco(), lambda content: content["annotations"][0].update(iscrowd=value), "train2017")
    assert coco.read(root).train[0].crowd.tolist() == [crowd, False]


def test_a_list_of_one_class_leaves_out_what_it_marks_as_without_it(lay_voc: Lay) -> None:
    root = lay_voc(train=4)
    listing = root / "VOC2007/ImageSets/Main/red_trainval.txt"
    listing.write_text("000000 -1\n000001  1\n000002  0\n000003 -1\n")
    settings = tasks.get("voc07").settings.replace({"train_splits": ("VOC2007/red_trainval",)})
    data = datasets.read("voc", root, settings)
    assert [each.identity for each in data.train] == ["000001", "000002"]
    assert "2 images that a list of one class marks by -1" in the_notes("voc07", root, train_splits=("VOC2007/red_trainval",))


def test_a_task_with_masks_is_none_for_voc(lay_voc: Lay) -> None:
    with pytest.raises(DataError, match="the VOC layout has no masks"):
        datasets.read("voc", lay_voc(), tasks.get("voc07").settings.replace({"masks": True}))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return TINY["lay"](tmp_path / "scenes", train=4, val=2)


def relabel(root: Path, split: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    for path in (root / "gtFine" / split).rglob("*.png"):
        Image.fromarray(change(np.array(Image.open(path))).astype(np.uint8)).save(path)
    return root


def test_the_share_of_ignored_pixels_is_always_said(scenes: Path) -> None:
    share = 100 * 2 / 64
    assert (
        the_notes("cityscapes", scenes)
        == f"pixels that are ignored, and count nowhere: {share:.1f} % of train, {share:.1f} % of val"
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_of_ignored_pixels_alone_is_refused(scenes: Path, split: str) -> None:
    relabel(scenes, split, lambda labels: np.full_like(labels, 255))
    assert f"every pixel of {split} in {scenes} is ignored" in the_error("cityscapes", scenes)


def test_masks_of_0_and_255_hold_one_class_and_are_refused(scenes: Path) -> None:
    for split in ("train", "val"):
        relabel(scenes, split, lambda labels: np.where(labels, 255, 0))
    error = the_error("cityscapes", scenes)
    assert "hold one class alone" in error
    assert "1 of 8 classes, 'ground'" in error
    assert "as in masks of 0 and 255" in error


def test_one_class_in_validation_alone_is_noted(scenes: Path) -> None:
    relabel(scenes, "val", np.zeros_like)
    assert "the label maps of val hold 1 of 8 classes alone, 'ground'; 0.0 %" in the_notes("cityscapes", scenes)


def test_label_maps_that_were_resized_by_interpolation_are_noted_and_others_not(scenes: Path) -> None:
    discs = (np.hypot(*(np.indices((64, 80)) - np.array([[[32]], [[40]]]))) < 24) * 7
    relabel(scenes, "train", lambda _: discs)
    assert "lie along edges alone" not in the_notes("cityscapes", scenes)
    small = Image.fromarray(discs.astype(np.uint8)).resize((20, 16), Image.Resampling.NEAREST)
    relabel(scenes, "train", lambda _: np.array(small.resize((80, 64), Image.Resampling.BILINEAR)))
    assert "of 8 label ids lie along edges alone" in the_notes("cityscapes", scenes)


def test_many_ids_out_of_range_are_said_to_be_those_of_interpolation(scenes: Path) -> None:
    relabel(scenes, "val", lambda labels: np.arange(labels.size).reshape(labels.shape) % 200)
    problems: list[DataError] = []
    with pytest.raises(DataError, match="no pair"):
        datasets.read("cityscapes", scenes, tasks.get("cityscapes").settings, problems.append)
    errors = [str(problem) for problem in problems]
    assert len(errors) == 2
    assert all("resized by interpolation" in error for error in errors)


def lay_folders(root: Path, *names: str) -> Path:
    for split in ("train", "val"):
        for name in names:
            for number in range(2):
                TINY["write"](root / split / name / f"{number}.png", np.zeros((8, 8, 3)))
    return root


@pytest.mark.parametrize("task", ["knn", "linear", "linear-cached"])
def test_one_class_has_no_accuracy(tmp_path: Path, task: str) -> None:
    root = lay_folders(tmp_path, "ant")
    assert "has one class alone" in the_error(task, root)
    assert len(datasets.read("imagefolder", root, TaskSettings()).train) == 2


def test_class_folders_that_differ_by_case_or_are_one_and_splits_that_are_one_are_noted(tmp_path: Path) -> None:
    root = lay_folders(tmp_path / "data", "Ant", "ant", "bee")
    assert "'Ant' and 'ant'" in the_notes("knn", root)
    (root / "train" / "wasp").symlink_to("bee")
    (root / "val" / "wasp").symlink_to("bee")
    assert "one folder, so that nothing tells them apart: 'bee', 'wasp'" in the_notes("knn", root)
    (root / "val" / "wasp").unlink()
    for path in sorted((root / "val").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (root / "val").rmdir()
    (root / "val").symlink_to(root / "train")
    assert "all images are both trained on and evaluated on" in the_notes("knn", root)
