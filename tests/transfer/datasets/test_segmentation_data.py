"""What all readers for segmentation share: the meaning of label ids, and the pairs of images and label maps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer.datasets import stop
from transfer.datasets.segmentation import Folders, LabelIds, SegmentationData, Split, gather

FOLDERS = {name: Folders(f"images/{name}", f"annotations/{name}", ".jpg", ".png") for name in ("train", "val")}
ZERO_IS_IGNORED = LabelIds(("wall", "sky"), reduce_zero_label=True)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., SegmentationData]:
    """Write a label map for each split, and gather both."""

    def read(labels: np.ndarray, ids: LabelIds) -> SegmentationData:
        splits = {}
        for name, folders in FOLDERS.items():
            pair = folders.pair(tmp_path, "place/a")
            for path, pixels in ((pair.image, np.zeros((*labels.shape, 3))), (pair.label, labels)):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
            splits[name] = Split(folders, (pair,))
        return gather(tmp_path, "ade20k", ids, splits, tell=stop, looked_for="images/", fix="-")

    return read


def test_a_stem_names_a_pair_and_a_pair_has_its_stem(tmp_path: Path) -> None:
    pair = FOLDERS["val"].pair(tmp_path, "place/a")
    assert (pair.image, pair.label) == (tmp_path / "images/val/place/a.jpg", tmp_path / "annotations/val/place/a.png")
    assert FOLDERS["val"].stem(tmp_path, pair) == "place/a"


def test_where_zero_is_ignored_classes_are_counted_from_one(read: Callable[..., SegmentationData]) -> None:
    data = read(np.array([[0, 1, 2, 2], [255, 0, 2, 1]]), ZERO_IS_IGNORED)
    assert (data.pixels, data.val_pixels, data.short_side) == ((2, 3), (2, 3), 2)
    assert (data.ref.layout, data.ref.classes, data.ref.train, data.ref.val) == ("ade20k", 2, 1, 1)


def test_an_id_past_the_last_class_is_out_of_range(read: Callable[..., SegmentationData]) -> None:
    with pytest.raises(DataError, match=r"out of range\n  seen:    3\n  allowed: 1 to 2, or 255"):
        read(np.array([[1, 3]]), ZERO_IS_IGNORED)
    with pytest.raises(DataError, match=r"seen:    2\n  allowed: 0 to 1, or 255"):
        read(np.array([[1, 2]]), LabelIds(("wall", "sky")))
