"""Image folders: what their reader says of the classes that were chosen."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer.datasets import imagefolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, count in (("train", 2), ("val", 1)):
        for cls in ("ant", "bee", "cat", "dog"):
            folder = tmp_path / "images" / split / cls
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / f"{cls}_{i}.png")
    return tmp_path / "images"


@pytest.mark.parametrize(("classes", "used"), [(["bee", "ant"], 2), (0.75, 3), (["ant"], 1)])
def test_a_part_of_the_classes_says_of_how_many(root: Path, classes: list[str] | float, used: int) -> None:
    ref = imagefolder.read(root, classes=classes).ref
    assert (ref.classes, ref.chosen_from, ref.train, ref.val) == (used, 4, 2 * used, used)


@pytest.mark.parametrize("classes", [None, 1.0, ["dog", "cat", "bee", "ant"]])
def test_all_classes_are_no_part_however_they_are_asked_for(root: Path, classes: list[str] | float | None) -> None:
    ref = imagefolder.read(root, classes=classes).ref
    assert (ref.classes, ref.chosen_from) == (4, None)
    assert ref == imagefolder.read(root).ref


def test_a_label_map_joins_classes_and_leaves_none_out(root: Path) -> None:
    labels = {"ant": "insect", "bee": "insect", "cat": "mammal", "dog": "mammal"}
    assert (ref := imagefolder.read(root, labels=labels).ref).chosen_from is None
    assert ref.classes == 2
    part = imagefolder.read(root, classes=["ant", "cat", "dog"], labels=labels).ref
    assert (part.classes, part.chosen_from) == (2, 4)


def test_a_zip_says_the_same_as_the_folder(root: Path) -> None:
    packed = root.parent / "zips" / root.name
    packed.mkdir(parents=True)
    for split in ("train", "val"):
        with zipfile.ZipFile(packed / f"{split}.zip", "w") as archive:
            for path in sorted((root / split).rglob("*.png")):
                archive.write(path, path.relative_to(root / split))
    for classes in (None, ["bee", "cat"], 0.25):
        assert imagefolder.read(packed, classes=classes).ref == imagefolder.read(root, classes=classes).ref


def test_a_class_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"1 of the 2 classes asked for are not in .*train: eel"):
        imagefolder.read(root, classes=["ant", "eel"])


def test_validation_images_that_nobody_needs_may_be_missing(root: Path) -> None:
    whole = imagefolder.read(root)
    shutil.rmtree(root / "val")
    with pytest.raises(DataError, match="val is missing"):
        imagefolder.read(root)
    found = imagefolder.read(root, needs=())
    assert (found.ref.train, found.ref.val, found.ref.classes) == (whole.ref.train, 0, 4)
    assert found.ref.fingerprint != whole.ref.fingerprint
    assert [note for note in found.notes if "val is not read" in note and "--monitor-every" in note]
    assert imagefolder.read(root, classes=["ant"], needs=()).ref.classes == 1


def test_what_is_not_needed_is_read_all_the_same_where_it_is_there(root: Path) -> None:
    assert imagefolder.read(root, needs=()) == imagefolder.read(root)


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_without_class_folders_have_no_classes(root: Path, split: str) -> None:
    for path in list((root / split).rglob("*.png")):
        path.rename(root / split / path.name)
    with pytest.raises(DataError, match=rf"images in .*{split} lie there without class folders"):
        imagefolder.read(root)
    found = imagefolder.read(root, needs=())
    assert (found.ref.train, found.ref.val, found.ref.classes) == ((8, 4, 0) if split == "train" else (8, 0, 4))
    assert any("without class folders" in note or "no classes" in note for note in found.notes)


def test_classes_of_both_splits_may_differ_in_form_which_is_noted(root: Path) -> None:
    (root / "train/dog").rename(root / "train/Caf\u00e9")
    (root / "val/dog").rename(root / "val/cafe\u0301")
    data = imagefolder.read(root)
    assert data.train.classes == data.val.classes == ("Caf\u00e9", "ant", "bee", "cat")
    assert {data.val.classes[label] for name, label in zip(data.val.names, data.val.labels, strict=True) if "dog" in name} == {
        "Caf\u00e9"
    }
    assert any(note.startswith("1 class folders of train, in val found under a name of another form") for note in data.notes)
    (root / "val/cat").rename(root / "val/cow")
    with pytest.raises(DataError, match="different classes"):
        imagefolder.read(root)


def test_an_archive_beside_a_folder_is_noted(root: Path) -> None:
    with zipfile.ZipFile(root / "train.zip", "w") as archive:
        archive.writestr("ant/a.png", b"x")
    assert "train.zip beside train not read: a folder goes before a zip, and that before others" in imagefolder.read(root).notes
