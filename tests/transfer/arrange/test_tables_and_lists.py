"""Images whose classes a table, a list or their folder says, in the forms that public data sets have."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pretrain.core.errors import DataError
from transfer.arrange import recognise
from transfer.arrange.work import Wanted, arrange

Run = Callable[..., tuple[Any, Any]]
Lay = Callable[[dict[str, Any]], Path]


def classes_of(data: Any) -> tuple[list[str], list[str]]:
    """The sorted names `CLASS/IMAGE` of both splits, without the folders that tell images of one name apart."""
    train, val = (sorted(re.sub(r"[^/]*__", "", name) for name in split.names) for split in (data.train, data.val))
    return train, val


def table(heading: str, *rows: str) -> str:
    return "\n".join([heading, *rows]) + "\n"


DIALECTS = {
    "APTOS": ("train.csv", table("id_code,diagnosis", "a,0", "b,1", "c,0", "d,1")),
    "capital letters and a tab": (
        "labels.tsv",
        table("Image Index\tClass Name", "a.jpg\t0", "b.jpg\t1", "c.jpg\t0", "d.jpg\t1"),
    ),
    "objects": (
        "metadata.jsonl",
        table(*(json.dumps({"file_name": f"{each}.jpg", "label": at % 2}) for at, each in enumerate("abcd"))),
    ),
    "objects with lists": (
        "metadata.jsonl",
        table(*(json.dumps({"file_name": f"{each}.jpg", "label": [str(at % 2)]}) for at, each in enumerate("abcd"))),
    ),
    "objects of true and false": (
        "metadata.jsonl",
        table(
            *(json.dumps({"file_name": f"{each}.jpg", "0": at % 2 == 0, "1": at % 2 == 1}) for at, each in enumerate("abcd"))
        ),
    ),
    "a column for each class": ("truth.csv", table("image,0,1", "a,1.0,0.0", "b,0.0,1.0", "c,1,0", "d,0,1")),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_tables_of_any_dialect(run: Run, name: str) -> None:
    path, content = DIALECTS[name]
    data, _ = run({**{f"pictures/{each}.jpg": None for each in "abcd"}, path: content}, "csv_labels", val="0.5")
    train, val = classes_of(data)
    assert sorted(train + val) == ["0/a.jpg", "0/c.jpg", "1/b.jpg", "1/d.jpg"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("labels.jsonl", table(*(json.dumps({"file_name": f"{each}.jpg", "label": each}) for each in range(4000))).encode()),
        ("labels [1].csv", table("file,label", "a.jpg,x").encode()),
        ("labels.tsv", table("file\tlabel", "a.jpg\tx").encode("utf-16")),
    ],
    ids=["longer than what is looked at", "with a pattern's letters", "in UTF-16"],
)
def test_a_table_is_recognised_by_its_beginning(lay: Lay, path: str, content: bytes) -> None:
    assert recognise(lay({"a.jpg": None, path: content})) == "csv_labels"


def test_a_table_in_each_splits_folder_names_the_images_beside_it(run: Run) -> None:
    files: dict[str, Any] = {f"{split}/{name}.png": None for split in ("train", "test") for name in "01"}
    files |= {f"{split}/metadata.csv": table("file_name,label", "0.png,x", "1.png,y") for split in ("train", "test")}
    data, done = run(files, "csv_labels")
    assert classes_of(data) == (["x/0.png", "y/1.png"], ["x/0.png", "y/1.png"])
    assert any("its test images are the validation images" in note for note in done.notes)


def test_images_of_several_classes_are_left_out_and_counted(run: Run) -> None:
    names = "abcde"
    rows = ["a,x", "b,x|y", "c,y", "d,x", "e,y"]
    data, done = run(
        {**{f"{each}.jpg": None for each in names}, "list.csv": table("image,labels", *rows)}, "csv_labels", val="0.5"
    )
    train, val = classes_of(data)
    assert sorted(name.split("/")[1] for name in train + val) == ["a.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert any("1 images of several classes, or of none" in note for note in done.notes)


def test_a_mark_that_is_neither_is_refused(lay: Lay, tmp_path: Path) -> None:
    root = lay({"a.jpg": None, "b.jpg": None, "t.csv": table("image,cat,dog", "a,1,0", "b,0.4,0.6")})
    with pytest.raises(DataError, match=r"row 3 of .*neither there nor not"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


def test_lists_of_paths_and_numbers_call_classes_as_their_folders(run: Run) -> None:
    files: dict[str, Any] = {f"data/{split}/{name}/{split}1.jpg": None for split in "tv" for name in ("bee", "ant")}
    files |= {
        f"meta/{split}.txt": f"{split[0]}/bee/{split[0]}1.jpg 0\n{split[0]}/ant/{split[0]}1.jpg 1\n"
        for split in ("train", "val")
    }
    data, _ = run(files, "txt_lists")
    assert classes_of(data) == (["ant/t1.jpg", "bee/t1.jpg"], ["ant/v1.jpg", "bee/v1.jpg"])


def test_lists_of_one_folder_keep_their_numbers_and_find_the_splits_own_image(run: Run) -> None:
    files: dict[str, Any] = {f"{split}/{number}.jpg": None for split in ("train", "val") for number in (1, 2)}
    data, done = run(files | {f"meta/{split}.txt": "1.jpg 7\n2.jpg 8\n" for split in ("train", "val")}, "txt_lists")
    assert classes_of(data) == (["7/1.jpg", "8/2.jpg"], ["7/1.jpg", "8/2.jpg"])
    assert not any("several" in note for note in done.notes)


def test_lists_of_classes_and_names(run: Run) -> None:
    files: dict[str, Any] = {f"images/{name}/{number}.jpg": None for name in ("ant", "bee") for number in (1, 2)}
    data, _ = run(
        files | {"meta/train.txt": "ant/1\nbee/1\n", "meta/test.txt": "ant/2\nbee/2\n", "meta/classes.txt": "ant\nbee\n"},
        "txt_lists",
    )
    assert classes_of(data) == (["ant/1.jpg", "bee/1.jpg"], ["ant/2.jpg", "bee/2.jpg"])


def test_an_image_on_two_lists_is_refused(lay: Lay, tmp_path: Path) -> None:
    root = lay({"x/1.jpg": None, "train.txt": "x/1.jpg 0\n", "val.txt": "x/1.jpg 0\n"})
    with pytest.raises(DataError, match=r"lists x/1\.jpg again"):
        arrange(root, tmp_path / "made", Wanted(), lambda *_: None)


def test_class_folders_alone_are_divided(run: Run) -> None:
    files: dict[str, Any] = {f"{name}/deep/{number}.jpg": None for name in ("River", "Forest") for number in range(4)}
    data, _ = run(files | {"Forest/5.jpg": None, "River/5.jpg": None}, "class_folders", val="0.25")
    assert data.train.classes == data.val.classes == ("Forest", "River")
    assert len(data.train) + len(data.val) == 10


def test_class_folders_below_splits_of_other_names(run: Run) -> None:
    files: dict[str, Any] = {
        f"seg_{split}/seg_{split}/{name}/{split}.jpg": None for split in ("train", "test") for name in ("sea", "ice")
    }
    data, _ = run(files, "class_folders")
    assert classes_of(data) == (["ice/train.jpg", "sea/train.jpg"], ["ice/test.jpg", "sea/test.jpg"])


def test_splits_inside_the_class_folders_are_kept(run: Run) -> None:
    files: dict[str, Any] = {
        f"{name}/{split}/{split}.jpg": None for split in ("train", "Validation", "test") for name in ("sea", "ice")
    }
    data, done = run(files, "class_folders")
    assert classes_of(data) == (["ice/train.jpg", "sea/train.jpg"], ["ice/Validation.jpg", "sea/Validation.jpg"])
    assert any("2 test images left out" in note for note in done.notes)


@pytest.mark.parametrize("line", ["/home/me/{0}.jpg\t{1}", "{1},{0}.jpg", "{0}.jpg;{1}"])
def test_a_table_without_a_heading_is_images_and_classes(run: Run, line: str) -> None:
    files: dict[str, Any] = {f"images/{name}.jpg": None for name in "abcd"}
    files |= {"train.csv": line.format("a", "cat") + "\n" + line.format("b", "dog") + "\n"}
    files |= {"val.csv": line.format("c", "cat") + "\n" + line.format("d", "dog") + "\n"}
    data, _ = run(files, "csv_labels")
    assert classes_of(data) == (["cat/a.jpg", "dog/b.jpg"], ["cat/c.jpg", "dog/d.jpg"])


@pytest.mark.parametrize(
    "files",
    [
        ["train/a.jpg", "valid/b.jpg"],
        ["a.jpg", "b.jpg"],
        ["images/a.jpg"],
        ["train/x/a.jpg", "val/y/b.jpg"],
        ["t/image_2/a.webp", "t/semantic/a.webp"],
    ],
)
def test_folders_that_are_no_classes_are_none(lay: Lay, files: list[str]) -> None:
    assert recognise(lay(dict.fromkeys(files))) is None


def test_a_class_may_be_called_as_a_split(run: Run) -> None:
    names = ("boat", "cup", "test_tube", "train")
    files: dict[str, Any] = {f"{split}/{name}/{split}.jpg": None for split in ("training", "test") for name in names}
    data, _ = run(files, "class_folders")
    assert classes_of(data) == tuple([f"{name}/{split}.jpg" for name in names] for split in ("training", "test"))


def test_an_image_in_tables_of_two_splits_is_refused_and_one_of_none_takes_the_other_s(lay: Lay, tmp_path: Path) -> None:
    rows = table("filename,label", "a.jpg,x", "b.jpg,y")
    files = {"a.jpg": None, "b.jpg": None, "labels.csv": rows, "train.csv": table("filename,label", "a.jpg,x")}
    root = lay(files | {"val.csv": table("filename,label", "b.jpg,y")})
    arrange(root, tmp_path / "made", Wanted(), lambda *_: None)
    found = sorted(str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*.jpg"))
    assert found == ["train/x/a.jpg", "val/y/b.jpg"]
    (root / "val.csv").write_text(rows)
    with pytest.raises(DataError, match=r"gives a.jpg a second split(.|\n)*val(.|\n)*train, as before"):
        arrange(root, tmp_path / "again", Wanted(), lambda *_: None)
