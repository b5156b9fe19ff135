"""Folders and zips as people have them: strays, links, other endings; what is not read is counted and said."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images import imageset
from pretrain.images.stores import SUFFIXES


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)


def packed(root: Path, names: list[str]) -> imageset.ImageSet:
    """Read a zip of these names, in which those with an image's ending are images."""
    picture(root / "one.png")
    with zipfile.ZipFile(root / "train.zip", "w") as archive:
        for name in names:
            archive.writestr(name, (root / "one.png").read_bytes() if name.endswith(".png") else b"")
    return imageset.read(root, "train")


@pytest.mark.parametrize("ending", sorted(SUFFIXES - {".webp", ".jpe", ".jfif"}))
def test_an_image_of_every_ending_is_read(tmp_path: Path, ending: str) -> None:
    picture(tmp_path / "train" / "cat" / f"a{ending}")
    assert imageset.read(tmp_path, "train").open(0).size == (4, 4)


def test_torchvisions_endings_are_read() -> None:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    assert set(IMG_EXTENSIONS) <= SUFFIXES


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cat" / "a.png")
    for name in ("b.gif", "more/c.GIF", "notes.txt", ".DS_Store", "Thumbs.db", "LICENSE"):
        (tmp_path / "train" / "cat" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "train" / "cat" / name).touch()
    picture(tmp_path / "train" / "top.png")
    assert imageset.read(tmp_path, "train").notes == (
        "1 without ending, 2 .gif, 1 .txt files in the class folders of train are not read",
        "1 image beside the class folders of train is not read",
    )


def test_only_the_classes_that_are_read_are_looked_into(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cat" / "a.png")
    picture(tmp_path / "train" / "dog" / "a.png")
    (tmp_path / "train" / "dog" / "b.gif").touch()
    assert imageset.read(tmp_path, "train", ["cat"]).notes == ()


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cat" / "a.png")
    picture(tmp_path / "elsewhere" / "more" / "b.png")
    cat = tmp_path / "train" / "cat"
    (cat / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "train" / "dog").symlink_to(tmp_path / "elsewhere" / "more")
    for name, target in (("self", cat), ("up", tmp_path / "train"), ("top", tmp_path.parent)):
        (cat / name).symlink_to(target)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "elsewhere")
    found = imageset.read(tmp_path, "train")
    assert found.names == ("cat/a.png", "cat/linked/more/b.png", "dog/b.png")
    assert found.notes == ("4 linked folders lead back to a folder above in train: not followed",)


@pytest.mark.parametrize(
    "strays", [[], [".DS_Store"], ["README.md", "__MACOSX/data/cat/._a.png"], ["docs/", "docs/index.html"], ["cover.png"]]
)
def test_the_inner_folder_of_a_zip_is_that_of_its_images(tmp_path: Path, strays: list[str]) -> None:
    found = packed(tmp_path, ["data/", "data/.DS_Store", "data/cat/a.png", "data/dog/b.png", *strays])
    assert (found.classes, found.names) == (("cat", "dog"), ("cat/a.png", "dog/b.png"))
    assert found.notes == (("1 image beside the class folders of train is not read",) if "cover.png" in strays else ())


def test_a_zip_may_have_backslashes(tmp_path: Path) -> None:
    found = packed(tmp_path, ["data\\cat\\a.png", "data\\dog\\more\\b.png"])
    assert found.names == ("cat/a.png", "dog/more/b.png")
    assert found.open(1).size == (4, 4)
    with pytest.raises(DataError, match="a path that leads outside"):
        packed(tmp_path, ["..\\cat\\a.png"])


def test_names_in_a_zip_may_begin_with_this_folder(tmp_path: Path) -> None:
    assert packed(tmp_path, ["./", "./cat/", "./cat/a.png", "././dog/b.png"]).names == ("cat/a.png", "dog/b.png")


def test_a_backslash_beside_slashes_is_part_of_a_name(tmp_path: Path) -> None:
    assert packed(tmp_path, ["cat/a\\b.png"]).names == ("cat/a\\b.png",)
