from pathlib import Path

import numpy as np
from PIL import Image

from transfer.engines.label_maps import PANEL_WIDTH, Sample, coloured, draw, palette


def test_every_class_has_a_colour_of_its_own_and_none_is_black() -> None:
    colours = np.array(palette(60))
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(60, dtype=int)
    assert apart.min() > 12
    assert colours.sum(1).min() > 100


def test_a_label_map_is_drawn_in_the_palette_and_ignored_pixels_are_black() -> None:
    picture = np.array(coloured(np.array([[0, 2], [1, 255]], dtype=np.uint8), classes=3))
    assert picture.reshape(4, 3).tolist() == [palette(3)[0], palette(3)[2], palette(3)[1], [0, 0, 0]]


def test_the_sheet_shows_the_truth_beside_the_prediction(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "white").save(tmp_path / "image.png")
    truth, prediction = np.zeros((20, 40), dtype=np.uint8), np.ones((20, 40), dtype=np.uint8)
    draw(tmp_path / "sheet.png", [Sample(tmp_path / "image.png", truth, prediction)] * 2, ("road", "sky", "car"))
    sheet = np.array(Image.open(tmp_path / "sheet.png"))
    middle = 100  # a line through the first row of panels
    colours = [sheet[middle, PANEL_WIDTH // 2 + column * PANEL_WIDTH].tolist() for column in range(3)]
    assert colours == [[255, 255, 255], palette(3)[0], palette(3)[1]]
    legend = {tuple(pixel) for pixel in sheet[-20:].reshape(-1, 3).tolist()}
    assert tuple(palette(3)[0]) in legend
    assert tuple(palette(3)[2]) not in legend  # no pixel is a car
