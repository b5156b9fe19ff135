"""Boxes that are something else than what they are read as. `tests/benchmarks/reading_power.py` has the rates of error."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pretrain.core.errors import DataError
from transfer.arrange.work import Wanted, arrange
from transfer.datasets import coco
from transfer.datasets.readings import CORNERS, FEW, REWRITE, WORDS, Kind, Reading, misread

Array = NDArray[np.float64]
SIDE = 100
SIZES = np.full((200, 2), float(SIDE))
HEADINGS: dict[Kind, str] = {"corners": "xmin,ymin,xmax,ymax", "size": "x,y,w,h", "centre": "cx,cy,w,h"}


@pytest.fixture
def corners() -> Array:
    """The corners of 200 objects, (N, 4): those at the border are annotated as far as they are seen."""
    rng = np.random.default_rng(0)
    sides, centres = rng.uniform(5, 60, (200, 2)), rng.uniform(0, SIDE, (200, 2))
    return np.clip(np.concatenate([centres - sides / 2, centres + sides / 2], axis=1), 0, SIDE)


def written(corners: Array, kind: Kind) -> Array:
    first, last = corners[:, :2], corners[:, 2:]
    return {
        "corners": corners,
        "size": np.concatenate([first, last - first], axis=1),
        "centre": np.concatenate([(first + last) / 2, last - first], axis=1),
    }[kind]


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for name in "ab":
        Image.new("RGB", (SIDE, SIDE)).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize("truth", CORNERS)
@pytest.mark.parametrize("taken", CORNERS)
def test_boxes_read_as_another_thing_are_told_what_they_are(corners: Array, truth: Kind, taken: Kind) -> None:
    error = misread(written(corners, truth), SIZES, taken, "labels.json")
    if truth == taken:
        assert error is None
        return
    assert f"the boxes of labels.json are {WORDS[truth]}" in str(error)
    assert REWRITE[truth, taken] in str(error)


def test_slips_are_not_the_whole_file(corners: Array) -> None:
    numbers = written(corners, "centre")
    whole = numbers[((numbers[:, :2] - numbers[:, 2:] / 2) > 1).all(axis=1)][:20]
    for slips in range(FEW + 1):
        reach = whole.copy()
        reach[:slips, :2] = 0  # as corners they fit, and so do the others but those at the lower and the right border
        inside = reach[(reach[:, :2] + reach[:, 2:] <= SIDE).all(axis=1)]
        assert (misread(inside, SIZES[: len(inside)], "centre", "x") is not None) == (slips == FEW)


def test_most_boxes_of_a_small_file_are_no_slips() -> None:
    numbers = np.array([[60.0, 50, 90, 95], [10, 70, 40, 99], [1, 2, 30, 40]])
    assert misread(numbers[:1], SIZES[:1], "size", "x") is not None
    assert misread(numbers[:2], SIZES[:2], "size", "x") is not None
    assert misread(numbers[1:], SIZES[:2], "size", "x") is None


def test_objects_annotated_beyond_the_border_are_none_of_it() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        sides, centres = rng.uniform(5, 60, (200, 2)), rng.uniform(0, SIDE, (200, 2))
        for kind in CORNERS:
            reaching = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
            assert misread(written(reaching, kind), SIZES, kind, "x") is None


@pytest.mark.parametrize(("truth", "taken"), list(REWRITE))
def test_tables_of_another_kind_than_their_columns_say_are_refused(
    tmp_path: Path, corners: Array, truth: Kind, taken: Kind
) -> None:
    root = pictures(tmp_path / "export")
    for kind in (taken, truth):
        rows = [f"{'ab'[at % 2]}.png,{','.join(map(str, row))},cell" for at, row in enumerate(written(corners, kind))]
        (root / "boxes.csv").write_text("\n".join([f"filename,{HEADINGS[taken]},class", *rows]) + "\n")
        if kind == taken:
            arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)
        else:
            with pytest.raises(DataError, match=WORDS[truth]):
                arrange(root, tmp_path / "other", Wanted(val="0.5"), lambda *_: None)
    assert not (tmp_path / "other").exists()


def test_yolo_s_boxes_are_centres(tmp_path: Path, corners: Array) -> None:
    root = pictures(tmp_path / "export")
    (root / "classes.txt").write_text("cell\n")
    for name in "ab":
        rows = [f"0 {' '.join(map(str, row / SIDE))}\n" for row in written(corners, "size")]
        (root / f"{name}.txt").write_text("".join(rows))
    with pytest.raises(DataError, match="add half of width and height to x and y"):
        arrange(root, tmp_path / "made", Wanted(val="0.5"), lambda *_: None)


@pytest.mark.parametrize("kind", ["centre", "corners"])
def test_coco_s_boxes_are_corner_and_size(tmp_path: Path, corners: Array, kind: Kind) -> None:
    for split in ("train2017", "val2017"):
        (tmp_path / split).mkdir()
        Image.new("RGB", (SIDE, SIDE)).save(tmp_path / split / f"{split}.png")
        entries = [
            {"id": at, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": row.tolist(), "area": 9, "segmentation": []}
            for at, row in enumerate(written(corners, kind), start=1)
        ]
        images = [{"id": 1, "file_name": f"{split}.png", "width": SIDE, "height": SIDE}]
        content = {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "cell"}]}
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=REWRITE[kind, "size"].replace("+", r"\+")):
        coco.read(tmp_path, masks=False)


def test_a_reading_gives_the_corners_and_keeps_what_it_read() -> None:
    reading = Reading("centre")
    assert reading.corners((10, 20, 6, 8), (SIDE, SIDE)) == (7, 16, 13, 24)
    reading.check("x")
    for _ in range(FEW):
        reading.corners((0, 1, 50, 60), (SIDE, SIDE))
    with pytest.raises(DataError, match=r"3 of 4 reach out(.|\n)*the first is \[0, 1, 50, 60\]"):
        reading.check("x")
