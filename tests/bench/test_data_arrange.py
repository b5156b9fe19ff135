"""`bench data arrange` as a user meets it: what it prints, its exit code, and that the next command works."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from bench import cli
from bench.verbs.arrange import TASK
from transfer import tasks
from transfer.arrange.writers import WRITERS


def bench(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", "data", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def export(root: Path) -> Path:
    for number in range(8):
        for folder, ending in (("images", "jpg"), ("labels", "txt")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            if ending == "txt":
                (root / folder / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.5 0.5\n")
            else:
                Image.new("RGB", (40, 30)).save(root / folder / f"{number}.jpg")
    return root


def test_the_next_command_is_printed_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, target = export(tmp_path / "export"), tmp_path / "made"
    assert bench(monkeypatch, "arrange", str(root), str(target), "--classes", "cat,dog", "--val", "0.5", "--as", "voc") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"done: YOLO or Darknet, one text file for each image → {target} in the layout voc"
    assert shown[1].startswith("  images: ")
    assert shown[-1] == f"  next: bench data check --task voc07 --data {target}"
    assert bench(monkeypatch, *shown[-1].removeprefix("  next: bench data ").split()) == 0


def test_boxes_alone_are_checked_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, target = export(tmp_path / "export"), tmp_path / "made"
    assert bench(monkeypatch, "arrange", str(root), str(target), "--classes", "cat,dog", "--val", "0.5") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == f"  next: bench data check --task coco-c4-box --data {target}"
    assert bench(monkeypatch, *shown[-1].removeprefix("  next: bench data ").split()) == 0


def test_what_is_missing_is_one_message_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = export(tmp_path / "export")
    assert bench(monkeypatch, "arrange", str(root), str(tmp_path / "made")) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("bench: the classes of ")
    assert "--classes cat,dog" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "made").exists()


def test_a_wrong_layouts_message_gives_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = export(tmp_path / "export")
    assert bench(monkeypatch, "check", "--task", "coco-c4", "--data", str(root)) == 2
    assert f"bench data arrange {root} NEW_FOLDER" in capsys.readouterr().out


def test_a_table_of_classes_is_advised_to_be_arranged_but_not_beside_class_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = export(tmp_path / "export")
    (root / "labels.csv").write_text("filename,label\n0.jpg,cat\n1.jpg,dog\n")
    assert bench(monkeypatch, "check", "--task", "linear", "--data", str(root)) == 2
    assert (
        f"images with a table of their classes: bench data arrange {root} NEW_FOLDER --as imagefolder"
        in capsys.readouterr().out
    )
    (root / "train/empty").mkdir(parents=True)
    assert bench(monkeypatch, "check", "--task", "linear", "--data", str(root)) == 2
    assert "bench data arrange" not in capsys.readouterr().out


def test_a_split_or_a_file_that_is_passed_is_answered_with_the_folder_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "a.jpg").write_bytes(b"x")
    assert bench(monkeypatch, "check", "--task", "linear", "--data", str(tmp_path / "train")) == 2
    assert f"pass --data {tmp_path}, which has this layout" in capsys.readouterr().out
    (tmp_path / "x.zip").write_bytes(b"x")
    assert bench(monkeypatch, "check", "--task", "linear", "--data", str(tmp_path / "x.zip")) == 2
    assert f"which the file lies in: --data {tmp_path}" in capsys.readouterr().err


def test_every_layout_has_a_task_to_check_it() -> None:
    assert TASK.keys() == set(WRITERS)
    assert all(tasks.get(task).layout == {"crops": "imagefolder"}.get(layout, layout) for layout, task in TASK.items())
