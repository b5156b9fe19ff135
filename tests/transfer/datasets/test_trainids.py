"""Cityscapes' training ids from what the download has; most tests need the optional package cityscapesscripts."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from transfer.datasets import cityscapes, stop, trainids

TINY = runpy.run_path(str(Path(__file__).parents[1] / "tiny_scenes.py"))
Tell = Callable[[DataError], None]


def silent(stage: str, done: int, total: int, values: dict[str, float]) -> None:
    """No progress."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training images and one for validation, with their training ids taken away."""
    laid = TINY["lay"](tmp_path / "city", train=2, val=1)
    (laid / "classes.json").unlink()
    for path in laid.rglob(f"*{cityscapes.LABEL_SUFFIX}"):
        path.unlink()
    return laid


def beside(root: Path, suffix: str) -> list[Path]:
    """Where files with this ending belong, one for each image."""
    images = sorted((root / "leftImg8bit").rglob(f"*{cityscapes.IMAGE_SUFFIX}"))
    names = [path.relative_to(root / "leftImg8bit").as_posix().replace(cityscapes.IMAGE_SUFFIX, suffix) for path in images]
    return [root / "gtFine" / name for name in names]


def outlines(*objects: tuple[str, list[list[float]]], **more: Any) -> str:
    content = {"imgHeight": 64, "imgWidth": 80, "objects": [{"label": label, "polygon": points} for label, points in objects]}
    return json.dumps(content | more)


SQUARE = [[10, 10], [29, 10], [29, 39], [10, 39]]


def test_label_ids_become_the_training_ids_of_the_packages_table(root: Path) -> None:
    labels = pytest.importorskip("cityscapesscripts.helpers.labels", reason="pip install cityscapesscripts")
    ids = np.arange(64 * 80).reshape(64, 80) % 34
    for path in beside(root, cityscapes.RAW_LABEL_SUFFIX):
        TINY["write"](path, ids)
    assert trainids.make(root, stop, silent) == 3
    expected = np.array([labels.id2label[number].trainId for number in range(34)])[ids]
    for path in beside(root, cityscapes.LABEL_SUFFIX):
        assert np.array_equal(np.array(Image.open(path)), expected)
    assert len(cityscapes.read(root).train) == 2
    assert expected[0, 7] == 0
    assert expected[0, 33] == 18
    assert expected[0, 0] == 255


def test_polygons_become_what_the_packages_own_command_writes(root: Path, tmp_path: Path) -> None:
    package = pytest.importorskip("cityscapesscripts.preparation.json2labelImg", reason="pip install cityscapesscripts")
    text = outlines(
        ("road", [[0, 0], [79, 0], [79, 63], [0, 63]]),
        ("cargroup", SQUARE),
        ("license plate", SQUARE),
        ("pole", [[3, 3], [3, 9]]),
    )
    for path in beside(root, cityscapes.POLYGON_SUFFIX):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    trainids.make(root, stop, silent)
    package.json2labelImg(str(beside(root, cityscapes.POLYGON_SUFFIX)[0]), str(tmp_path / "expected.png"), "trainIds")
    expected = np.array(Image.open(tmp_path / "expected.png"))
    assert sorted(np.unique(expected)) == [0, 5, 13]
    for path in beside(root, cityscapes.LABEL_SUFFIX):
        assert np.array_equal(np.array(Image.open(path)), expected)


def test_nothing_that_is_there_is_written_again_and_nothing_is_left_behind(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("cityscapesscripts", reason="pip install cityscapesscripts")
    for path in beside(root, cityscapes.RAW_LABEL_SUFFIX):
        TINY["write"](path, np.full((64, 80), 7))
    first, second, third = beside(root, cityscapes.LABEL_SUFFIX)
    first.write_text("mine")
    second.symlink_to(tmp_path / "elsewhere.png")
    assert trainids.make(root, stop, silent) == 1
    assert first.read_text() == "mine"
    assert not (tmp_path / "elsewhere.png").exists()
    assert np.unique(np.array(Image.open(third))).tolist() == [0]
    assert list(root.rglob("*.tmp")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "can't read the polygons"),
        ("[]", "can't read the polygons"),
        (outlines(("road", [[1, 2]])), "objects.0.polygon"),
        (outlines(("road", [[1, 2], [1, 1e9]])), "objects.0.polygon"),
        (outlines(("road", [[1, 2], [1, float("nan")]])), "objects.0.polygon"),
        (outlines(("street", SQUARE)), "objects[0]"),
        (outlines(imgWidth=10**9), "imgWidth"),
        (outlines(imgWidth=81), "another size"),
    ],
)
def test_polygons_that_cannot_be_drawn_are_told_with_their_place(root: Path, text: str, words: str) -> None:
    pytest.importorskip("cityscapesscripts", reason="pip install cityscapesscripts")
    (path, *others) = beside(root, cityscapes.POLYGON_SUFFIX)
    for each in (path, *others):
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_text(outlines(("road", SQUARE)))
    path.write_text(text)
    problems: list[DataError] = []
    assert trainids.make(root, problems.append, silent) == 2
    (problem,) = problems
    assert words in str(problem)
    assert str(path) in str(problem)


def write_raw(root: Path, ids: np.ndarray) -> None:
    for path in beside(root, cityscapes.RAW_LABEL_SUFFIX):
        TINY["write"](path, ids)


COLOURS = "0 0 0 background\n200 30 30 square\n30 30 220 disc\n"


def test_label_ids_of_ones_own_are_not_mapped_by_cityscapes_table(root: Path) -> None:
    write_raw(root, np.arange(64 * 80).reshape(64, 80) % 3)
    (root / "label_colors.txt").write_text(COLOURS)
    with pytest.raises(DataError, match="are labels of its own, not Cityscapes'") as caught:
        trainids.make(root, stop, silent)
    assert "bench data arrange" in str(caught.value)
    with pytest.raises(DataError, match="has no training ids") as caught:
        cityscapes.read(root)
    assert "--make" not in str(caught.value)
    assert list(root.rglob(f"*{cityscapes.LABEL_SUFFIX}")) == []


def test_label_ids_of_no_class_make_no_map_of_ignored_pixels(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_raw(root, np.arange(64 * 80).reshape(64, 80) % 3)
    table = dict.fromkeys(range(7), 255) | {7: 0, 8: 1}
    monkeypatch.setattr(trainids, "_package", lambda: (None, table))
    with pytest.raises(DataError, match="no label id in") as caught:
        trainids.make(root, stop, silent)
    assert "the ids 0, 1, 2 in 3 label maps" in str(caught.value)
    assert list(root.rglob(f"*{cityscapes.LABEL_SUFFIX}")) == []
    write_raw(root, np.full((64, 80), 7))
    assert trainids.make(root, stop, silent) == 3


def test_a_list_of_colours_in_the_order_of_cityscapes_table_is_no_other_table(root: Path) -> None:
    names = [
        "unlabeled",
        "ego vehicle",
        "rectification border",
        "out of roi",
        "static",
        "dynamic",
        "ground",
        "road",
        "sidewalk",
    ]
    (root / "label_colors.txt").write_text("".join(f"0 0 {number} {name}\n" for number, name in enumerate(names)))
    assert cityscapes.own_labels(root) is None
    (root / "label_colors.txt").write_text(COLOURS)
    assert cityscapes.own_labels(root) == root / "label_colors.txt"


def test_without_the_package_the_message_says_how_to_install_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cityscapesscripts", "cityscapesscripts.helpers.labels"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"pip install 'bench-transfer\[cityscapes\]'"):
        trainids.make(root, stop, silent)


def test_data_with_classes_of_its_own_gets_no_training_ids_of_cityscapes(root: Path) -> None:
    (root / "classes.json").write_text('{"num_classes": 8}')
    with pytest.raises(DataError, match="of its own"):
        trainids.make(root, stop, silent)
