"""What `--data` names: files, globs, ranges, folders of shards; and which of them are a split."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pretrain.core.errors import DataError
from pretrain.images import imageset
from pretrain.images.stores import shards
from transfer.datasets import imagefolder

Packed = Callable[[str], Path]


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(root: Path, split: str, ending: str = ".tar") -> list[str]:
    return [file.name for file in shards.of_split(root, split, ending)]


@pytest.mark.parametrize(
    ("names", "train", "val"),
    [
        (["train.tar", "val.tar"], ["train.tar"], ["val.tar"]),
        (["train-1.tar", "train-0.tar", "val-0.tar", "notes.txt"], ["train-0.tar", "train-1.tar"], ["val-0.tar"]),
        (
            ["imagenet1k-train-0.tar", "imagenet1k-validation-0.tar"],
            ["imagenet1k-train-0.tar"],
            ["imagenet1k-validation-0.tar"],
        ),
        (["train/0.tar", "train/1.tar", "valid/0.tar"], ["0.tar", "1.tar"], ["0.tar"]),
        (["train_0.TAR", "test_0.tar"], ["train_0.TAR"], ["test_0.tar"]),
        (["train_0.tar", "test_0.tar", "val_0.tar"], ["train_0.tar"], ["val_0.tar"]),
        (["00000.tar", "00001.tar"], ["00000.tar", "00001.tar"], []),
        (["data/train-0.tar", "data/test-0.tar", "x/val-0.tar"], ["train-0.tar"], ["test-0.tar"]),
        (["train/0.tar", "data/train-0.tar", "val/0.tar"], ["0.tar"], ["0.tar"]),
        (["constraint.tar", "train.tar", ".train-hidden.tar"], ["train.tar"], []),
    ],
)
def test_the_shards_of_a_folder_go_by_the_words_in_their_names(
    tmp_path: Path, names: list[str], train: list[str], val: list[str]
) -> None:
    files(tmp_path, *names)
    assert (found(tmp_path, "train"), found(tmp_path, "val")) == (train, val)


@pytest.mark.parametrize(
    ("option", "train", "val"),
    [
        ("train-*.tar", ["train-000.tar", "train-001.tar"], ["val-000.tar"]),
        ("train-{000..001}.tar", ["train-000.tar", "train-001.tar"], ["val-000.tar"]),
        ("train-{000..000}.tar", ["train-000.tar"], ["val-000.tar"]),
        ("{train,val}-*.tar", ["train-000.tar", "train-001.tar"], ["val-000.tar"]),
        ("train-000.tar", ["train-000.tar"], ["val-000.tar"]),
        ("val-000.tar", ["train-000.tar", "train-001.tar"], ["val-000.tar"]),
        ("[!v]*.tar", ["train-000.tar", "train-001.tar"], ["val-000.tar"]),
    ],
)
def test_a_path_glob_or_range_names_shards_and_the_other_split_lies_beside_them(
    tmp_path: Path, option: str, train: list[str], val: list[str]
) -> None:
    root = files(tmp_path, "train-000.tar", "train-001.tar", "val-000.tar") / option
    assert shards.named(str(root))
    assert (found(root, "train"), found(root, "val")) == (train, val)
    assert found(root, "train", ".parquet") == []


def test_a_split_in_a_folder_of_its_name_has_the_other_in_the_folder_beside_it(tmp_path: Path) -> None:
    root = files(tmp_path, "imagenet/train/0.tar", "imagenet/train/1.tar", "imagenet/val/0.tar") / "imagenet/train/*.tar"
    assert [path.parent.name for path in shards.of_split(root, "val", ".tar")] == ["val"]
    assert shards.title(root) == "imagenet"


def test_one_of_a_numbered_set_stands_for_all_and_a_missing_one_is_named(tmp_path: Path) -> None:
    names = [f"train-{number:05d}-of-00003.parquet" for number in range(3)]
    files(tmp_path, *names, "validation-00000-of-00001-abc12.parquet")
    assert found(tmp_path / names[1], "train", ".parquet") == names
    assert found(tmp_path / names[1], "val", ".parquet") == ["validation-00000-of-00001-abc12.parquet"]
    (tmp_path / names[2]).unlink()
    with pytest.raises(DataError, match=r"1 of the 3 shards of .*train are missing\n.*not number 2"):
        found(tmp_path, "train", ".parquet")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("nix-*.tar", r"no file is .*nix-\*\.tar\n  seen: +in .*: train-000\.tar(.|\n)*in quotes"),
        ("train-{000..003}.tar", r"no file is .*train-001\.tar, nor 2 more(.|\n)*1 of 4 are there"),
        ("nowhere/train.tar", r"the folder .*nowhere does not exist"),
        ("train-{0..999999999}.tar", r"names too many files"),
    ],
)
def test_a_pattern_that_names_nothing_is_refused_with_what_lies_there(tmp_path: Path, option: str, message: str) -> None:
    files(tmp_path, "train-000.tar")
    with pytest.raises(DataError, match=message):
        shards.expanded(str(tmp_path / option))


@pytest.mark.parametrize(
    "option", ["s3://bucket/train-000.tar", "https://host/train.tar", "pipe:curl x", "hf://datasets/a/b", "gs://x"]
)
def test_an_address_is_refused(option: str) -> None:
    with pytest.raises(DataError, match=r"has to be on this machine"):
        shards.named(option)


def test_a_folder_with_marks_of_a_glob_in_its_name_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run[1]").mkdir()
    assert not shards.named(str(tmp_path / "run[1]"))
    assert not shards.named(str(tmp_path / "missing"))


def test_a_split_that_nothing_holds_is_said_to_be_missing(tmp_path: Path, packed: Packed) -> None:
    root = packed("tar")
    (root / "val.tar").unlink()
    with pytest.raises(DataError, match=r"no images of the split val(.|\n)*seen: +train\.tar"):
        imageset.read(root / "train.tar", "val")
    with pytest.raises(DataError, match=r"val is missing(.|\n)*val-\*\.tar"):
        imageset.read(root, "val")


def test_the_record_s_data_is_the_folder_s_whatever_names_the_shards(packed: Packed, root: Path) -> None:
    place = packed("webdataset")
    whole = imagefolder.read(root).ref
    for named in (place, place / "*.tar", place / "train-{000000..000001}.tar"):
        assert imagefolder.read(named).ref == whole.replace({"name": "webdataset"})


def test_a_folder_of_class_folders_goes_before_archives_beside_it_and_an_empty_one_does_not(packed: Packed, root: Path) -> None:
    place = packed("tar")
    (place / "train").mkdir()
    assert len(imageset.read(place, "train")) == 12
    (place / "train/cat").mkdir()
    (place / "train/cat/1.png").write_bytes((root / "train/ant/ant_0.png").read_bytes())
    assert imageset.read(place, "train").names == ("cat/1.png",)
