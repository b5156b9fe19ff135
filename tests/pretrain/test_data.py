"""Folders and zips of class folders, labels kept, crops and the order of epochs."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain import data
from pretrain.errors import DataError


def picture(colour: int, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour if mode == "L" else (colour, 0, 255 - colour)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for label, cls in enumerate(("ant", "bee")):
            for i in range(6):
                path = tmp_path / split / cls / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(100 * label + i))
    return tmp_path


def zipped(root: Path, prefix: str = "") -> Path:
    target = root / "zipped"
    target.mkdir()
    for split in ("train", "val"):
        with zipfile.ZipFile(target / f"{split}.zip", "w") as archive:
            for path in sorted((root / split).rglob("*.png")):
                archive.write(path, prefix + path.relative_to(root / split).as_posix())
    return target


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_a_zip_and_a_folder_of_the_same_images_are_the_same_set(tmp_path: Path, root: Path, prefix: str) -> None:
    (moved := tmp_path / "x").mkdir()
    for split in ("train", "val"):
        (tmp_path / split).rename(moved / split)
    folder, archive = data.read(moved, "train"), data.read(zipped(moved, prefix), "train")
    assert (folder.names, folder.labels, folder.classes) == (archive.names, archive.labels, archive.classes)
    assert folder.fingerprint() == archive.fingerprint()
    assert np.array_equal(np.asarray(folder.open(7)), np.asarray(archive.open(7)))


def test_a_zip_is_opened_once_however_many_images_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, opened = data.read(zipped(root), "train"), []
    original = zipfile.ZipFile.__init__

    def counted(self: zipfile.ZipFile, *args: object, **kwargs: object) -> None:
        opened.append(args)
        original(self, *args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", counted)
    for index in range(len(images)):
        images.open(index)
    assert len(opened) == 1


def test_the_fingerprint_changes_with_a_file(root: Path) -> None:
    before = data.read(root, "train").fingerprint()
    (root / "train" / "ant" / "0.png").write_bytes(picture(1, (40, 40)))
    assert data.read(root, "train").fingerprint() != before


def test_a_missing_split_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"test is missing(.|\n)*seen: +train, val"):
        data.read(root, "test")


def test_an_empty_class_folder_is_named(root: Path) -> None:
    (root / "train" / "cat").mkdir()
    with pytest.raises(DataError, match=r"class folder .*cat"):
        data.read(root, "train")


def test_a_file_that_is_no_image_is_named_when_it_is_opened(root: Path) -> None:
    (root / "train" / "ant" / "0.png").write_text("not an image")
    with pytest.raises(DataError, match=r"ant/0\.png"):
        data.read(root, "train").open(0)


def test_grey_and_palette_images_become_rgb(root: Path) -> None:
    (root / "train" / "ant" / "0.png").write_bytes(picture(9, mode="L"))
    assert data.read(root, "train").open(0).mode == "RGB"


def test_a_truncated_zip_is_refused(root: Path) -> None:
    archive = zipped(root)
    whole = (archive / "train.zip").read_bytes()
    (archive / "train.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="can't read the zip"):
        data.read(archive, "train")


def test_kept_labels_are_balanced_seeded_and_right() -> None:
    labels = [i % 4 for i in range(400)]
    kept = data.keep_labels(labels, 0.25, seed=3)
    assert kept == data.keep_labels(labels, 0.25, seed=3)
    assert kept != data.keep_labels(labels, 0.25, seed=4)
    assert [kept.count(cls) for cls in range(4)] == [25] * 4
    assert all(k in (label, data.UNLABELLED) for k, label in zip(kept, labels, strict=True))


def test_a_fraction_of_none_or_all_keeps_none_or_all() -> None:
    assert set(data.keep_labels([0, 1, 1], 0.0, seed=0)) == {data.UNLABELLED}
    assert data.keep_labels([0, 1, 1], 1.0, seed=0) == [0, 1, 1]


def test_epochs_visit_every_image_once_and_go_on_from_any_step() -> None:
    whole = list(data.Epochs(10, batch=5, epochs=3, seed=1))
    assert [sorted(i for _, i in whole[2 * e] + whole[2 * e + 1]) for e in range(3)] == [list(range(10))] * 3
    assert whole[:2] != whole[2:4]
    for start in range(7):
        assert list(data.Epochs(10, batch=5, epochs=3, seed=1, start=start)) == whole[start:]


def test_crops_depend_on_seed_epoch_and_image_alone(root: Path) -> None:
    images = data.read(root, "train")
    crops = data.Crops(images, images.labels, data.Crop(8, (0.2, 1.0)), views=2, seed=5)
    views, labels, indices = crops.__getitems__([(0, 3), (0, 9)])
    alone, _, _ = crops.__getitems__([(0, 9)])
    assert views.shape == (2, 2, 3, 8, 8)
    assert labels.tolist() == [0, 1]
    assert indices.tolist() == [3, 9]
    assert np.array_equal(views[:, 1], alone[:, 0])


def test_loader_processes_change_nothing(root: Path) -> None:
    images = data.read(root, "train")
    crops = data.Crops(images, images.labels, data.Crop(8, (0.2, 1.0)), views=2, seed=5)
    batches = data.in_order(len(images), 5)
    for ours, theirs in zip(
        data.loader(crops, batches, num_workers=0), data.loader(crops, batches, num_workers=1), strict=True
    ):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
