"""Objects written as an image folder of crops."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from tests.transfer.arrange.conftest import HEIGHT, WIDTH, Lay, Run
from transfer.arrange.work import Wanted, arrange

NAMES = "names: [cat, dog]"
PIXELS = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
"""No two crops of it are equal."""


def line(label: int, left: float, top: float, right: float, bottom: float) -> str:
    """A line of YOLO's: the box in pixels as shares of the image."""
    numbers = ((left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT)
    return f"{label} " + " ".join(f"{number:.9f}" for number in numbers)


def export(train: str, val: str = "") -> dict[str, object]:
    images = {f"images/{split}/a.png": PIXELS for split in ("train", "val")}
    return {"data.yaml": NAMES, **images, "labels/train/a.txt": train, "labels/val/a.txt": val or line(0, 0, 0, 9, 9)}


def test_each_object_is_cut_out_at_whole_pixels_around_its_box(run: Run, tmp_path: Path) -> None:
    boxes = [line(0, 2.4, 3, 10, 12.5), line(1, 20, 10, 40, 30)]
    data, done = run(export("\n".join(boxes), line(1, 1, 2, 5, 8) + "\n" + line(0, 0, 0, 9, 9)), "yolo", layout="crops")
    assert (done.layout, done.counts["objects"]) == ("crops", (2, 2))
    assert data.ref.classes == 2
    expected = {
        "train/cat": PIXELS[3:13, 2:10],
        "train/dog": PIXELS[10:30, 20:40],
        "val/dog": PIXELS[2:8, 1:5],
        "val/cat": PIXELS[0:9, 0:9],
    }
    for folder, pixels in expected.items():
        (crop,) = (tmp_path / "made" / folder).iterdir()
        np.testing.assert_array_equal(np.asarray(Image.open(crop)), pixels)
    assert len(list((tmp_path / "made").rglob("*.png"))) == len(expected)


XML = """<annotation><size><width>40</width><height>30</height><depth>3</depth></size>{}</annotation>"""
OBJECT = (
    "<object><name>cat</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    "</bndbox></object>"
)


def test_difficult_objects_and_specks_are_left_out_and_counted(run: Run, tmp_path: Path) -> None:
    objects = OBJECT.format(0, 1, 1, 20, 20) + OBJECT.format(1, 5, 5, 30, 30) + OBJECT.format(0, 7, 7, 7, 20)
    files = {f"{split}/a{split}.png": PIXELS for split in ("train", "val")}
    files |= {f"{split}/a{split}.xml": XML.format(objects) for split in ("train", "val")}
    _, done = run(files, "voc_xml", layout="crops")
    assert [path.name for path in (tmp_path / "made/train/cat").iterdir()] == ["atrain_0.png"]
    assert "2 difficult objects, 2 objects of less than 2 pixels left out" in done.notes


def test_nothing_to_cut_out_is_an_error_that_leaves_no_folder(lay: Lay, tmp_path: Path) -> None:
    root = lay(export(line(0, 4, 4, 5, 5), line(1, 4, 4, 5, 5)))
    with pytest.raises(DataError, match=re.escape("2 objects of less than 2 pixels")):
        arrange(root, tmp_path / "made", Wanted(layout="crops"), lambda *_: None)
    assert not (tmp_path / "made").exists()


def test_every_image_is_counted_once(lay: Lay, tmp_path: Path) -> None:
    heard: list[tuple[object, ...]] = []
    arrange(lay(export(line(0, 0, 0, 9, 9))), tmp_path / "made", Wanted(layout="crops"), lambda *said: heard.append(said))
    assert heard == [("images arranged", 1, 2, {}), ("images arranged", 2, 2, {})]
