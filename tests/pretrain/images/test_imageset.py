"""Folders and zips of class folders: the same set of images, or one message."""

import errno
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pretrain.core.errors import DataError, GoneError
from pretrain.images import imageset

Zipped = Callable[..., Path]


@pytest.mark.parametrize("inside", ["", "train/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_and_a_folder_of_the_same_images_are_the_same_set(
    root: Path, zipped: Zipped, inside: str, compression: int
) -> None:
    folder, archive = imageset.read(root, "train"), imageset.read(zipped(inside, compression), "train")
    assert (folder.names, folder.labels, folder.classes) == (archive.names, archive.labels, archive.classes)
    assert folder.fingerprint() == archive.fingerprint()
    assert all(np.array_equal(np.asarray(folder.open(i)), np.asarray(archive.open(i))) for i in range(len(folder)))


@pytest.mark.parametrize("packed", [False, True])
def test_only_the_classes_asked_for_are_read(root: Path, zipped: Zipped, packed: bool) -> None:
    (root / "train" / "empty").mkdir()  # would be refused if it were looked at
    found = imageset.read(zipped() if packed else root, "train", ["bee"])
    assert found.classes == ("bee",)
    assert set(found.labels) == {0}
    assert [name.split("/")[0] for name in found.names] == ["bee"] * 6
    assert found.open(2).size == (20, 16)


@pytest.mark.parametrize("packed", [False, True])
def test_classes_that_are_not_there_are_counted_and_the_first_named(root: Path, zipped: Zipped, packed: bool) -> None:
    with pytest.raises(DataError, match=r"^2 of the 3 classes asked for are not in .*: cat, dog\n") as refused:
        imageset.read(zipped() if packed else root, "val", ["dog", "ant", "cat"])
    assert len(str(refused.value).splitlines()) == 4


@pytest.mark.parametrize("packed", [False, True])
def test_a_function_chooses_from_the_class_folders_of_a_folder_and_of_a_zip(root: Path, zipped: Zipped, packed: bool) -> None:
    offered: list[str] = []
    found = imageset.read(zipped("train/") if packed else root, "train", lambda folders: offered.extend(folders) or ["bee"])
    assert offered == ["ant", "bee"]
    assert (found.classes, found.folders) == (("bee",), 2)


def test_images_in_folders_below_a_class_folder_belong_to_it(root: Path) -> None:
    (root / "train" / "ant" / "more").mkdir()
    (root / "train" / "ant" / "ant_0.png").rename(root / "train" / "ant" / "more" / "x.png")
    found = imageset.read(root, "train")
    assert found.labels[found.names.index("ant/more/x.png")] == 0


def test_the_fingerprint_changes_with_a_file_and_with_the_classes(root: Path) -> None:
    before = imageset.read(root, "train").fingerprint()
    assert imageset.read(root, "train", ["ant"]).fingerprint() != before
    (root / "train" / "ant" / "ant_0.png").write_bytes(b"another size")
    assert imageset.read(root, "train").fingerprint() != before


def test_a_missing_split_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"test is missing(.|\n)*seen: +train/, val/"):
        imageset.read(root, "test")


def test_an_empty_class_folder_is_named(root: Path) -> None:
    (root / "train" / "cat").mkdir()
    with pytest.raises(DataError, match=r"class folder .*cat"):
        imageset.read(root, "train")


def test_what_lies_in_an_empty_class_folder_is_said(root: Path) -> None:
    (root / "train" / "cat").mkdir()
    (root / "train" / "cat" / "a.HEIC").write_bytes(b"x")
    with pytest.raises(DataError, match=r"there: a\.HEIC\n[\s\S]*convert what is there"):
        imageset.read(root, "train")


def test_what_lies_in_a_zip_without_images_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("ant.zip", b"x")
        archive.writestr("bee/a.txt", b"x")
    with pytest.raises(DataError, match=r"class folder .*train\.zip/bee\n.*there: a\.txt"):
        imageset.read(tmp_path, "train")
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("ant.zip", b"x")
    with pytest.raises(DataError, match=r"no images in .*train\.zip\n.*there: ant\.zip"):
        imageset.read(tmp_path, "train")


def test_an_archive_of_another_kind_is_called_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "train.zip").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    with pytest.raises(DataError, match=r"train\.zip\n.*an archive of 7-Zip"):
        imageset.read(tmp_path, "train")


def test_a_class_folder_with_splits_inside_is_not_offered_as_the_data(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        for split in ("train", "val"):
            (tmp_path / name / split).mkdir(parents=True)
            (tmp_path / name / split / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"train is missing") as refused:
        imageset.read(tmp_path, "train", labelled=True)
    assert "which has this layout" not in str(refused.value)


IN_PLACE_OF_IMAGES = {
    "an empty file": b"",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a web page": b"\n<!DOCTYPE html><html>",
    "a file that begins with zeros only": bytes(1000),
    "what macOS keeps beside a file": b"\x00\x05\x16\x07\x00\x02\x00\x00",
    "plain text": b"404: Not Found",
}


@pytest.mark.parametrize("what", IN_PLACE_OF_IMAGES)
def test_what_lies_in_the_place_of_an_image_is_called_what_it_is(root: Path, what: str) -> None:
    (root / "train" / "ant" / "ant_0.png").write_bytes(IN_PLACE_OF_IMAGES[what])
    with pytest.raises(DataError, match=rf"ant/ant_0\.png[\s\S]*seen: *{what}"):
        imageset.read(root, "train").open(0)


def test_a_file_that_is_no_image_is_named_when_it_is_opened(root: Path) -> None:
    (root / "train" / "ant" / "ant_0.png").write_text("not an image")
    with pytest.raises(DataError, match=r"ant/ant_0\.png"):
        imageset.read(root, "train").open(0)


def test_a_truncated_zip_is_refused(zipped: Zipped) -> None:
    archive = zipped() / "train.zip"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DataError, match="can't read the zip"):
        imageset.read(archive.parent, "train")


def test_a_zip_packed_in_another_way_is_refused(zipped: Zipped) -> None:
    with pytest.raises(DataError, match="compression method 14"):
        imageset.read(zipped(compression=zipfile.ZIP_LZMA), "train")


def test_a_byte_that_changed_in_a_zip_is_found(zipped: Zipped) -> None:
    archive = zipped() / "train.zip"
    found = imageset.read(archive.parent, "train")
    content = bytearray(archive.read_bytes())
    content[content.index(b"IDAT") + 20] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"ant/ant_0\.png(.|\n)*checksum"):
        found.open(0)


@pytest.mark.parametrize("packed", [False, True])
def test_a_part_of_a_set_holds_the_same_images(root: Path, zipped: Zipped, packed: bool) -> None:
    found = imageset.read(zipped() if packed else root, "train")
    part = found.part([9, 2])
    assert (part.classes, part.names, part.labels) == (found.classes, ("bee/bee_3.png", "ant/ant_2.png"), (1, 0))
    assert np.array_equal(np.asarray(part.open(0)), np.asarray(found.open(9)))


@pytest.mark.parametrize(
    ("target", "words"), [("/mnt/gone.png", "/mnt/gone.png, which is not there"), ("ant_0.png", "leads back to itself")]
)
def test_a_link_that_leads_nowhere_is_an_image_that_can_not_be_read(root: Path, target: str, words: str) -> None:
    whole = imageset.read(root, "train").fingerprint()
    path = root / "train/ant/ant_0.png"
    path.rename(root / "aside.png")
    path.symlink_to(target)
    images = imageset.read(root, "train")
    assert images.fingerprint() != whole
    with pytest.raises(DataError, match=r"ant/ant_0\.png") as caught:
        images.picture(images.names.index("ant/ant_0.png"))
    assert words in str(caught.value)
    assert not isinstance(caught.value, GoneError), "another image may take its place"
    path.unlink()
    path.symlink_to(root.resolve() / "aside.png")
    assert imageset.read(root, "train").fingerprint() == whole


def test_an_image_that_is_gone_ends_the_run_and_one_that_may_not_be_read_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = imageset.read(root, "train")
    (root / "train/ant/ant_0.png").unlink()
    with pytest.raises(GoneError, match=r"ant/ant_0\.png"):
        images.picture(0)

    def refuse(path: str, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match="no permission to read it"):
        images.picture(1)


def test_classes_are_found_under_names_of_another_form_and_noted(root: Path) -> None:
    found = imageset.read(root, "train", ["BEE ", "ant"])
    assert found.classes == ("ant", "bee")
    assert "1 class folders found under a name of another form, the first is 'BEE ', which is 'bee'" in found.notes
    (root / "train/Bee").mkdir()
    with pytest.raises(DataError, match="several names differ"):
        imageset.read(root, "train", ["BEE"])


def test_a_class_folder_whose_link_leads_nowhere_is_missed(root: Path) -> None:
    (root / "train/cat").symlink_to("/mnt/gone/cat")
    with pytest.raises(DataError, match=r"train/cat[\s\S]*/mnt/gone/cat, which is not there"):
        imageset.read(root, "train")
    assert imageset.read(root, "train", ["ant"]).classes == ("ant",)
