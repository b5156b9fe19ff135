"""`bench data check` as a user meets it: what it lists, and its exit code."""

import io
import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import cli
from transfer.datasets import cityscapes

TRANSFER = Path(__file__).parents[1] / "transfer"
TINY = runpy.run_path(str(TRANSFER / "tiny_scenes.py"))
LAYING = runpy.run_path(str(TRANSFER / "conftest.py"))
voc_xml, Thing = LAYING["voc_xml"], LAYING["Thing"]
lay_voc, lay_coco = LAYING["lay_voc"], LAYING["lay_coco"]  # fixtures


def check(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", "data", "check", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def annotation(root: Path, number: int) -> Path:
    return root / "VOC2007/Annotations" / f"{number:06}.xml"


def test_healthy_data_is_counted_and_the_exit_code_is_0(
    lay_voc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = lay_voc(train=6, val=4)
    assert check(monkeypatch, "--task", "voc07", "--data", str(root)) == 0
    shown = capsys.readouterr().out
    assert f"voc07 reads {root} in the layout voc" in shown
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines()[1:] if len(line.split()) == 3}
    assert rows["images"] == ["6", "4"]
    assert rows["objects"] == ["12", "8"]
    assert sum(int(rows[name][0]) for name in ("blue", "green", "red")) == 12
    assert shown.endswith("a run can read this\n")
    assert max(map(len, shown.splitlines()[2:])) <= 80


def test_every_problem_is_listed_with_its_path_and_the_exit_code_is_2(
    lay_voc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = lay_voc(train=6, val=4)
    annotation(root, 0).write_text("<annotation>")
    annotation(root, 1).write_text(voc_xml([Thing("red", ("nan", 2, 3, 4))]))
    (root / "VOC2007/JPEGImages/000002.png").unlink()
    annotation(root, 3).write_text(voc_xml([Thing("red", (1, 1, 9, 9))], size=(50, 50)))
    annotation(root, 1000).unlink()
    assert check(monkeypatch, "--task", "voc07", "--data", str(root)) == 2
    shown = capsys.readouterr().out
    for words in (
        f"{annotation(root, 0)} is not XML",
        f"the box of object 1 in {annotation(root, 1)} is not finite",
        "no image for '000002'",
        f"{annotation(root, 1000)} is missing",
        f"{root / 'VOC2007/JPEGImages/000003.png'} has another size than annotated",
        "a run would stop: 5 problems",
    ):
        assert words in shown


def test_what_breaks_no_run_is_said_and_the_exit_code_is_0(
    lay_coco, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = lay_coco(train=4, val=2)
    path = root / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [90, 70, 30, 30]
    content["annotations"][1]["bbox"] = [-50, 0, 40, 40]
    content["annotations"][2]["bbox"] = [5, 5, 0, 9]
    content["annotations"][4]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    for split in ("train", "val"):
        file = root / f"annotations/instances_{split}2017.json"
        described = json.loads(file.read_text())
        described["categories"].append({"id": 1000, "name": "[red]violet"})
        file.write_text(json.dumps(described))
    assert check(monkeypatch, "--task", "coco-c4", "--data", str(root)) == 0
    shown = capsys.readouterr().out
    assert f"1 boxes reach out of their image: training clips them; the first is object 1 of {root}" in shown
    assert "1 boxes lie outside their image" in shown
    assert "1 boxes without area left out, the first is annotations[2] in instances_train2017.json" in shown
    assert "1 class without an object in train: [red]violet" in shown
    assert "crowd" in shown


def test_a_wrong_folder_is_named_with_what_to_do(
    lay_voc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert check(monkeypatch, "--task", "voc0712", "--data", str(lay_voc())) == 2
    assert "--task voc07, which needs VOC2007 only" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    for task in ("coco-fpn", "cityscapes", "linear", "pretrain"):
        assert check(monkeypatch, "--task", task, "--data", str(tmp_path / "empty")) == 2
        shown = capsys.readouterr().out
        assert f"{tmp_path / 'empty'}" in shown
        assert "an empty folder" in shown
    assert check(monkeypatch, "--task", "vok07") == 2
    assert "did you mean 'voc07'" in capsys.readouterr().err
    assert check(monkeypatch, "--task", "voc07", "--make") == 2


def test_image_folders_are_counted_by_class_and_every_image_is_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for split, count in (("train", 3), ("val", 2)):
        for name in ("ant", "bee"):
            for number in range(count):
                TINY["write"](tmp_path / "images" / split / name / f"{number}.png", np.zeros((8, 8, 3)))
    assert check(monkeypatch, "--task", "knn", "--data", str(tmp_path / "images")) == 0
    assert "2 classes, images" in capsys.readouterr().out
    (tmp_path / "images/train/bee/1.png").write_text("no image")
    assert check(monkeypatch, "--task", "pretrain", "--data", str(tmp_path / "images")) == 2
    assert "bee/1.png" in capsys.readouterr().out
    assert check(monkeypatch, "--task", "pretrain", "--data", str(tmp_path / "images"), "--no-images") == 0


def test_label_maps_are_counted_and_each_wrong_one_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = TINY["lay"](tmp_path / "scenes", train=4, val=2)
    assert check(monkeypatch, "--task", "cityscapes", "--data", str(root)) == 0
    assert "8 classes, share of the labelled pixels" in capsys.readouterr().out
    first, second, third, _ = sorted((root / "gtFine/train").rglob("*.png"))
    Image.fromarray(np.full((64, 80), 99, dtype=np.uint8)).save(first)
    second.unlink()
    third.write_text("no")
    assert check(monkeypatch, "--task", "cityscapes", "--data", str(root)) == 2
    shown = capsys.readouterr().out
    assert f"{first} has a label id out of range" in shown
    assert f"{second} is missing" in shown
    assert f"can't decode the image {third}" in shown
    assert "a run would stop: 3 problems" in shown


def test_missing_training_ids_are_made_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("cityscapesscripts", reason="pip install cityscapesscripts")
    root = TINY["lay"](tmp_path / "scenes", train=2, val=1)
    (root / "classes.json").unlink()
    for path in root.rglob(f"*{cityscapes.LABEL_SUFFIX}"):
        shutil.move(path, str(path).replace(cityscapes.LABEL_SUFFIX, cityscapes.RAW_LABEL_SUFFIX))
    for path in root.rglob(f"*{cityscapes.RAW_LABEL_SUFFIX}"):
        Image.fromarray(np.minimum(np.array(Image.open(path)), 33)).save(path)
    assert check(monkeypatch, "--task", "cityscapes", "--data", str(root)) == 2
    assert "--make" in capsys.readouterr().out
    assert list(root.rglob(f"*{cityscapes.LABEL_SUFFIX}")) == []
    assert check(monkeypatch, "--task", "cityscapes", "--data", str(root), "--make") == 0
    assert "made 3 label maps" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_that_the_terminal_can_not_print_are_escaped(lay_voc, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    root = lay_voc(train=2, val=2)
    for number in (0, 1, 1000, 1001):
        annotation(root, number).write_text(voc_xml([Thing("猫", (1, 1, 9, 9))]), encoding="utf-8")
    with io.TextIOWrapper(io.BytesIO(), encoding=encoding) as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert check(monkeypatch, "--task", "voc07", "--data", str(root)) == 0
        terminal.seek(0)
        assert "\\u732b" in terminal.read()


def test_a_name_of_several_lines_is_one_row(
    lay_coco, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = lay_coco(train=2, val=2)
    for path in (root / "annotations").iterdir():
        path.write_text(path.read_text().replace('"red"', '"red\\nface"'))
    check(monkeypatch, "--task", "coco-c4", "--data", str(root))
    assert "red\\nface" in capsys.readouterr().out


def test_images_without_classes_are_enough_for_a_pre_training_and_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").mkdir()
    for number in range(3):
        Image.new("L", (8, 8), number).save(tmp_path / "train" / f"{number}.pgm")
    (tmp_path / "train" / "4.gif").touch()
    assert check(monkeypatch, "--task", "pretrain", "--data", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines() if line.startswith(("images", "0 classes"))] == [
        ["images", "3", "0"],
        ["0", "classes,", "images:"],
    ]
    for words in ("no classes", "--supervision self alone", "val is not read", "1 .gif file"):
        assert words in shown
    for task in ("knn", "measure"):
        assert check(monkeypatch, "--task", task, "--data", str(tmp_path)) == 2
        assert "the 3 images in" in capsys.readouterr().out


def test_equal_problems_of_one_file_are_one_line_with_their_count(
    lay_coco, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = lay_coco()
    path = root / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    for entry in content["annotations"][:3]:
        entry["image_id"] += 1000
    for entry in content["annotations"][3:5]:
        entry["bbox"] = "none"
    for entry in content["images"][4:]:
        (root / "train2017" / entry["file_name"]).unlink()
    path.write_text(json.dumps(content))
    assert check(monkeypatch, "--task", "coco-c4", "--data", str(root)) == 2
    shown = capsys.readouterr().out
    assert f"wrong 1: annotations[3] in {path} has no valid 'bbox'" in shown
    assert f"wrong 2: annotations[0] in {path} has an image_id {content['annotations'][0]['image_id']} that is not" in shown
    more = [line for line in shown.splitlines() if "more of this kind" in line]
    assert more == ["  and 1 more of this kind in that file", "  and 2 more of this kind in that file"]
    for entry in content["images"][4:]:
        assert f"{entry['file_name']} is missing" in shown, "each file that is missing has a line"
    assert f"a run would stop: {5 + len(content['images'][4:])} problems" in shown
