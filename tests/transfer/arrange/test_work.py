"""Arranging whole: nothing half, nothing lost, and what a user can ask for."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import BenchError, ConfigError, DataError
from transfer.arrange import FORMATS, advice, formats, module, placing, recognise
from transfer.arrange.naming import file_names
from transfer.arrange.splitting import drawn
from transfer.arrange.work import Arranged, Wanted, arrange
from transfer.datasets import coco

Lay = Callable[[dict[str, Any]], Path]
YOLO = "0 0.5 0.5 0.5 0.5\n"


def export(lay: Lay, count: int = 10) -> Path:
    files: dict[str, Any] = {f"images/{number}.jpg": None for number in range(count)}
    return lay(files | {f"labels/{number}.txt": YOLO for number in range(count)} | {"classes.txt": "cat\ndog\n"})


def done(root: Path, target: Path, **wanted: Any) -> Arranged:
    return arrange(root, target, Wanted(**wanted), lambda *_: None)


def names(target: Path, split: str) -> set[str]:
    content = json.loads((target / f"annotations/instances_{split}2017.json").read_text())
    return {image["file_name"] for image in content["images"]}


def test_every_format_is_one_file_and_one_line() -> None:
    files = {path.stem for path in Path(formats.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(FORMATS)
    assert all(callable(module(name).recognise) and callable(module(name).read) for name in FORMATS)


def test_the_draw_is_a_share_that_other_images_do_not_move() -> None:
    every = [f"{number}.jpg" for number in range(2000)]
    chosen = drawn(every, 0.1, seed=0)
    assert 150 < len(chosen) < 250
    assert drawn(every[:1000], 0.1, seed=0) == chosen & set(every[:1000])
    assert drawn(every, 0.1, seed=1) != chosen
    assert len(drawn(["a", "b"], 0.01, seed=0)) == len(drawn(["a", "b"], 0.99, seed=0)) == 1
    assert drawn(["a"], 0.5, seed=0) == set()


def test_a_share_a_list_and_neither(lay: Lay, tmp_path: Path) -> None:
    root = export(lay)
    with pytest.raises(DataError, match=r"no validation images(.|\n)*do: +add --val 0\.1"):
        done(root, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "val.txt").write_text("3\nimages/4.jpg\n")
    done(root, tmp_path / "listed", val=str(tmp_path / "val.txt"))
    assert names(tmp_path / "listed", "val") == {"3.jpg", "4.jpg"}
    (tmp_path / "val.txt").write_text("nothing\n")
    with pytest.raises(DataError, match=r"line 1 of .* names no image"):
        done(root, tmp_path / "wrong", val=str(tmp_path / "val.txt"))
    with pytest.raises(ConfigError, match="no share"):
        done(root, tmp_path / "wrong", val="1.5")
    assert {path.name for path in tmp_path.iterdir()} == {"export", "listed", "val.txt"}


def test_the_same_command_writes_the_same_files(lay: Lay, tmp_path: Path) -> None:
    root = export(lay)
    for name in ("one", "two"):
        done(root, tmp_path / name, val="0.3")
    for path in sorted((tmp_path / "one").rglob("*.json")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_links_or_copies_and_no_links_where_there_are_none(lay: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = export(lay)
    done(root, tmp_path / "linked", val="0.5")
    done(root, tmp_path / "copied", val="0.5", copy=True)
    assert all(path.is_symlink() for path in (tmp_path / "linked").glob("*2017/*"))
    assert not any(path.is_symlink() for path in (tmp_path / "copied").rglob("*"))
    (tmp_path / "linked").rename(tmp_path / "moved")
    assert all(path.is_file() for path in (tmp_path / "moved").glob("*2017/*"))

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(placing.os, "symlink", refuse)
    with pytest.raises(DataError, match="add --copy"):
        done(root, tmp_path / "refused", val="0.5")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("where", ["full", "a file", "inside the export", "above the export"])
def test_only_a_new_or_empty_folder_is_written(lay: Lay, tmp_path: Path, where: str) -> None:
    root = export(lay)
    places = {
        "full": tmp_path / "full",
        "a file": tmp_path / "file",
        "inside the export": root / "new",
        "above the export": tmp_path,
    }
    (tmp_path / "full").mkdir()
    (tmp_path / "full/kept").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BenchError, match=r"in the way|inside the export"):
        done(root, places[where], val="0.5")
    assert (tmp_path / "full/kept").read_text() == (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    done(root, tmp_path / "empty", val="0.5")


def test_what_was_asked_for_must_fit(lay: Lay, tmp_path: Path) -> None:
    root, target = export(lay), tmp_path / "made"
    with pytest.raises(ConfigError, match="objects can't be written in the layout imagefolder"):
        done(root, target, val="0.5", layout="imagefolder")
    with pytest.raises(ConfigError, match="unknown layout"):
        done(root, target, val="0.5", layout="coc")
    with pytest.raises(ConfigError, match="unknown class 'cow'"):
        done(root, target, val="0.5", classes="cat,cow")
    with pytest.raises(DataError, match="each class once"):
        done(root, target, val="0.5", classes="cat,cat")
    with pytest.raises(DataError, match="no export that is known"):
        done(tmp_path / "export/images", target)
    with pytest.raises(DataError, match="no folder"):
        done(tmp_path / "nothing", target)


def test_a_killed_process_leaves_nothing_that_looks_whole(lay: Lay, tmp_path: Path) -> None:
    root = export(lay)
    killed = (
        "import os, sys; from pathlib import Path; from transfer.arrange.work import Wanted, arrange\n"
        "def kill(stage, done, total, values):\n    if done == 5: os.kill(os.getpid(), 9)\n"
        "arrange(Path(sys.argv[1]), Path(sys.argv[2]), Wanted(val='0.5'), kill)"
    )
    ended = subprocess.run([sys.executable, "-c", killed, str(root), str(tmp_path / "made")], check=False)
    assert ended.returncode == -9
    assert not (tmp_path / "made").exists()
    done(root, tmp_path / "made", val="0.5")


def test_names_in_the_new_folder_are_plain_and_different() -> None:
    found = file_names(["a/x.jpg", "b/x.png", "c/with blank.jpg", "c/\x1b.jpg", "d/" + "é" * 200 + ".jpg", "A/X.jpg"])
    assert found["A/X.jpg"] == "A__X"
    assert found["a/x.jpg"].startswith("a__x_")  # some file systems take A__X for it
    assert found["c/with blank.jpg"] == "with_blank"
    assert len({name.casefold() for name in found.values()}) == 6
    assert all(name.isprintable() and len(name.encode()) <= 200 for name in found.values())


def test_an_archives_own_folder_is_looked_into(lay: Lay, tmp_path: Path) -> None:
    root = export(lay)
    outer = tmp_path / "outer/dataset"
    outer.parent.mkdir()
    root.rename(outer)
    assert recognise(tmp_path / "outer") == "yolo"
    done(tmp_path / "outer", tmp_path / "made", val="0.5")


def test_what_is_no_export_is_not_recognised(lay: Lay, tmp_path: Path) -> None:
    assert recognise(lay({"train/cat/a.jpg": None, "val/cat/b.jpg": None, "README.md": "text"})) is None
    assert recognise(tmp_path / "nothing") is None
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert recognise(tmp_path / "loop") is None


def test_advice_names_the_command_and_the_layout(lay: Lay) -> None:
    root = export(lay)
    assert (
        advice(root, "coco") == f"this is YOLO or Darknet, one text file for each image: bench data arrange {root} NEW_FOLDER"
    )
    assert str(advice(root, "voc")).endswith("NEW_FOLDER --as voc")
    assert advice(root, "imagefolder") is None


def test_a_layout_itself_is_written_as_another_one_or_anew(lay: Lay, tmp_path: Path) -> None:
    image = {"id": "one", "file_name": "https://example.org/a.jpg", "width": "40", "height": "30"}
    content = {"images": [image], "annotations": [{"image_id": "one", "category_id": 1, "bbox": [2, 3, 10, 20]}]}
    content["categories"] = [{"id": 1, "name": "cat"}]
    content["annotations"].append({"image_id": "one", "category_id": "cat", "bbox": [1, 1, 5, 5]})
    files = {f"annotations/instances_{split}2017.json": content for split in ("train", "val")}
    root = lay(files | {"train2017/a.jpg": None, "val2017/a.jpg": None})
    assert recognise(root) is None  # it needs none, and no advice names it
    assert done(root, tmp_path / "anew").layout == "coco"
    assert coco.read(tmp_path / "anew", masks=False).train[0].boxes.tolist() == [[2, 3, 12, 23], [1, 1, 6, 6]]
    assert done(root, tmp_path / "voc", layout="voc").layout == "voc"
    assert done(tmp_path / "voc", tmp_path / "back", layout="coco").format == "voc_xml"
    assert coco.read(tmp_path / "back", masks=False).val[0].boxes.tolist() == [[2, 3, 12, 23], [1, 1, 6, 6]]
