"""Messages for a folder in another layout: what is wrong, what lies there, and advice that fits it."""

import re
from pathlib import Path

import pytest

from pretrain.core.errors import DataError
from pretrain.core.layout import wrong_layout
from pretrain.images import imageset


def said(root: Path, **changed: object) -> str:
    about = {"layout": "ours", "looked_for": "a/b", "first_wrong": root / "a" / "b", "fix": "the usual", **changed}
    return str(wrong_layout(root, **about))


def test_the_first_folder_that_is_there_is_listed(tmp_path: Path) -> None:
    assert "seen:    an empty folder" in said(tmp_path)
    (tmp_path / "a" / "other").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    assert f"b is missing\n  seen:    in {tmp_path / 'a'}: file, other/\n  allowed: a/b\n  do:      the usual" in said(tmp_path)
    assert "does not exist" in said(tmp_path / "gone")


def test_what_stands_in_the_place_of_a_path_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    (tmp_path / "x.json").mkdir()
    (tmp_path / "x.json" / "x.json").touch()
    assert "file is a file" in said(tmp_path, first_wrong=tmp_path / "file")
    assert "link is a link to /nowhere/at/all, which is not there" in said(tmp_path, first_wrong=tmp_path / "link")
    folder = said(tmp_path, first_wrong=tmp_path / "x.json", folder=False)
    assert "x.json is a folder, not a file" in folder
    assert f"do:      move {tmp_path / 'x.json' / 'x.json'} to its place" in folder


@pytest.mark.parametrize(
    ("given", "wanted"), [("up/data/train", "up/data"), ("up/data/train/cat", "up/data"), (".", "up/data")]
)
def test_the_layout_is_found_above_and_below(tmp_path: Path, given: str, wanted: str) -> None:
    (tmp_path / "up/data/train/cat").mkdir(parents=True)
    (tmp_path / "up/data/val/cat").mkdir(parents=True)
    with pytest.raises(DataError, match=rf"do: +pass --data {re.escape(str(tmp_path / wanted))}, "):
        imageset.read(tmp_path / given, "val")


def test_advice_is_asked_for_last(tmp_path: Path) -> None:
    assert "do:      split it" in said(tmp_path, advice=lambda: "split it")
    assert "do:      the usual" in said(tmp_path, advice=lambda: None)
    (tmp_path / "below").mkdir()
    assert f"pass --data {tmp_path / 'below'}" in said(
        tmp_path, advice=lambda: "split it", fits=lambda folder: folder.name == "below"
    )


def test_a_split_of_another_name_is_linked(tmp_path: Path) -> None:
    (tmp_path / "validation" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=r"val is missing\n(.|\n)*do: .*ln -s validation "):
        imageset.read(tmp_path, "val")


def test_a_zip_that_is_a_dead_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "val.zip").symlink_to("/nowhere.zip")
    with pytest.raises(DataError, match=r"val\.zip is a link to /nowhere\.zip"):
        imageset.read(tmp_path, "val")


def test_archives_are_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "VOCtrainval.tar").touch()
    (tmp_path / "notes.txt").touch()
    assert "do:      unpack VOCtrainval.tar there" in said(tmp_path)


def test_class_folders_without_splits_are_told_where_to_go(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").touch()
    with pytest.raises(DataError, match=r"train is missing\n(.|\n)*do: +move the class folders into "):
        imageset.read(tmp_path, "train", labelled=True)
