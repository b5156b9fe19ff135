"""Advice for detection and segmentation data in another form: other splits, another folder, another tool's export."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer.datasets import advice, cityscapes, coco, voc

Lay = Callable[..., Path]


@pytest.mark.parametrize(
    ("names", "train", "val"),
    [
        (["train2014", "val2014"], "train2014", "val2014"),
        (["train", "valid", "test"], "train", "valid"),
        (["VOC2012/train", "VOC2007/val", "VOC2012/val"], "VOC2012/train", "VOC2012/val"),
        (["VOC2007/test", "VOC2007/train", "VOC2007/trainval", "VOC2007/val"], "VOC2007/trainval", "VOC2007/test"),
    ],
)
def test_two_splits_that_belong_together_are_named(names: list[str], train: str, val: str) -> None:
    found = advice.other_splits(names)
    assert found is not None
    assert f"--set 'train_splits=[{train}]' --set val_split={val}" in found


@pytest.mark.parametrize("names", [[], ["train"], ["trainval", "val"], ["train2014", "val2017"]])
def test_splits_that_overlap_or_do_not_belong_together_are_not(names: list[str]) -> None:
    assert advice.other_splits(names) is None


def test_coco_of_another_year_is_advised_to_be_read(lay_coco: Lay) -> None:
    root = lay_coco()
    for split in ("train", "val"):
        (root / f"{split}2017").rename(root / f"{split}2014")
        (root / f"annotations/instances_{split}2017.json").rename(root / f"annotations/instances_{split}2014.json")
    with pytest.raises(DataError, match=r"train_splits=\[train2014\]' --set val_split=val2014"):
        coco.read(root)
    assert len(coco.read(root, train=("train2014",), val="val2014").train) > 0


def test_voc_lists_of_other_names_and_a_missing_one(lay_voc: Lay) -> None:
    root = lay_voc()
    lists = root / "VOC2007/ImageSets/Main"
    (lists / "trainval.txt").rename(lists / "train.txt")
    (lists / "test.txt").rename(lists / "val.txt")
    with pytest.raises(DataError, match=r"train_splits=\[VOC2007/train\]' --set val_split=VOC2007/val"):
        voc.read(root)
    (lists / "val.txt").unlink()
    with pytest.raises(DataError, match=r"do: +write .*trainval\.txt"):
        voc.read(root)


def test_the_folder_above_or_below_is_named(lay_voc: Lay, lay_coco: Lay) -> None:
    root = lay_voc()
    with pytest.raises(DataError, match=rf"pass --data {root}, "):
        voc.read(root / "VOC2007")
    root = lay_coco()
    with pytest.raises(DataError, match=rf"pass --data {root}, "):
        coco.read(root / "train2017")
    with pytest.raises(DataError, match=rf"pass --data {root}, "):
        coco.read(root.parent)


def test_images_of_cityscapes_may_be_jpegs(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind, ending, mode in (("leftImg8bit", "leftImg8bit.jpg", "RGB"), ("gtFine", "gtFine_labelTrainIds.png", "L")):
            folder = tmp_path / kind / split / "town"
            folder.mkdir(parents=True)
            picture = Image.new(mode, (8, 8))
            picture.paste((1,) * len(picture.getbands()), (0, 0, 8, 4))
            picture.save(folder / f"town_0_{ending}")
    data = cityscapes.read(tmp_path)
    assert (len(data.train), len(data.val)) == (1, 1)
    assert data.folders["train"].image_suffix == "_leftImg8bit.jpg"


def test_folders_that_lie_deeper_are_linked_to_their_place(lay_coco: Lay, tmp_path: Path) -> None:
    root = lay_coco()
    (root / "pictures").mkdir()
    for split in ("train2017", "val2017"):
        (root / split).rename(root / "pictures" / split)
    with pytest.raises(DataError, match=rf"do: .*ln -s {root}/pictures/train2017 {root}/train2017"):
        coco.read(root)
    for kind in ("leftImg8bit", "gtFine"):
        (tmp_path / "city" / f"{kind}_trainvaltest" / kind / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"do: .*ln -s \S*/leftImg8bit_trainvaltest/leftImg8bit \S*/city/leftImg8bit"):
        cityscapes.read(tmp_path / "city")
