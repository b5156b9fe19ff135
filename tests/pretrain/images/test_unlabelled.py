"""Images without class folders: enough for runs that read no label, and refused by those that do."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images import imageset, labels


def lay(folder: Path, *names: str) -> Path:
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(folder / name)
    return folder


def flat(root: Path) -> Path:
    lay(root / "train", "a.png", "b.png")
    (root / "train" / "notes").mkdir()
    (root / "train" / "notes" / "read.txt").touch()
    return root


def zipped(root: Path) -> Path:
    lay(root / "loose", "a.png", "b.png")
    with zipfile.ZipFile(root / "train.zip", "w") as archive:
        for name in ("a.png", "b.png"):
            archive.write(root / "loose" / name, name)
    return root


def bare(root: Path) -> Path:
    return lay(root / "photos", "2019/05/b.png", "a.png", ".cache/c.png")


@pytest.mark.parametrize(
    ("make", "names"),
    [(flat, ["a.png", "b.png"]), (zipped, ["a.png", "b.png"]), (bare, ["2019/05/b.png", "a.png"])],
    ids=["train without class folders", "zip without class folders", "folder without train"],
)
def test_images_without_class_folders_are_one_set(tmp_path: Path, make: Callable[[Path], Path], names: list[str]) -> None:
    root = make(tmp_path)
    found = imageset.read(root, "train")
    assert [name.removeprefix("unlabelled/") for name in found.names] == names
    assert not found.has_classes
    assert len({found.open(index).getpixel((0, 0)) for index in range(len(found))}) == 2
    assert labels.assign_labels(found, 0.0, None, seed=0) == [labels.UNLABELLED] * 2
    with pytest.raises(DataError, match="have none"):
        labels.assign_labels(found, 1.0, None, seed=0)


@pytest.mark.parametrize("make", [flat, zipped])
def test_who_needs_classes_is_told_that_there_are_none(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    root = make(tmp_path)
    for how in ({"labelled": True}, {"classes": ["ant"]}):
        with pytest.raises(DataError, match=r"the 2 images in .* without class folders or labels\n +seen: +a\.png, b\.png\n"):
            imageset.read(root, "train", **how)


def test_a_zip_and_a_folder_of_the_same_images_are_the_same_set(tmp_path: Path) -> None:
    assert (
        imageset.read(flat(tmp_path / "a"), "train").fingerprint()
        == imageset.read(zipped(tmp_path / "b"), "train").fingerprint()
    )


def test_class_folders_are_not_passed_over_for_images_beside_them(tmp_path: Path) -> None:
    lay(tmp_path / "train", "top.png", "cat/a.png")
    assert imageset.read(tmp_path, "train").names == ("cat/a.png",)


@pytest.mark.parametrize("other", ["val/cat/a.png", "validation/cat/a.png", "imagenet/train/cat/a.png"])
def test_a_folder_of_splits_is_never_read_as_one_pool(tmp_path: Path, other: str) -> None:
    lay(tmp_path, "cover.png", other, other.replace("train", "val"))
    with pytest.raises(DataError, match="train is missing"):
        imageset.read(tmp_path, "train")


def test_validation_images_are_never_made_up(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="val is missing"):
        imageset.read(bare(tmp_path), "val")
