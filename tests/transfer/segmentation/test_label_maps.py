from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfer.segmentation.label_maps import PANEL_WIDTH, VISIONS, Sample, _lab, coloured, draw, palette
from transfer.sheet import GAP, TEXT

VIENOT = {
    "protanopia": [(0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)],
    "deuteranopia": [(0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)],
}
"""Linear RGB as the colour-blind see it, by another model than the palette's (Viénot, Brettel and Mollon 1999)."""


def test_every_class_has_a_colour_of_its_own_and_none_is_black() -> None:
    colours = np.array(palette(60))
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(60, dtype=int)
    assert apart.min() > 12
    assert colours.sum(1).min() > 50
    assert np.array(palette(19)).sum(1).min() > 100


@pytest.mark.parametrize("vision", VIENOT)
def test_the_classes_of_cityscapes_are_told_apart_by_the_colour_blind(vision: str) -> None:
    seen = _lab(np.array(palette(19)), np.array(VIENOT[vision]))
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 999 * np.eye(19)
    assert apart.min() > 10  # about 2 is the least that can be seen


def test_lightness_runs_from_black_to_white() -> None:
    grey = _lab(np.array([(0, 0, 0), (119, 119, 119), (255, 255, 255), (255, 0, 0)]), VISIONS[0])
    np.testing.assert_allclose(grey, [(0, 0, 0), (50, 0, 0), (100, 0, 0), (53.2, 80.1, 67.2)], atol=0.1)


def test_a_label_map_is_drawn_in_the_palette_and_ignored_pixels_are_black() -> None:
    picture = np.array(coloured(np.array([[0, 2], [1, 255]], dtype=np.uint8), classes=3))
    assert picture.reshape(4, 3).tolist() == [palette(3)[0], palette(3)[2], palette(3)[1], [0, 0, 0]]


def test_the_sheet_shows_the_truth_beside_the_prediction(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "white").save(tmp_path / "image.png")
    truth, prediction = np.zeros((20, 40), dtype=np.uint8), np.ones((20, 40), dtype=np.uint8)
    draw(tmp_path / "sheet.png", [Sample(tmp_path / "image.png", truth, prediction)] * 2, ("road", "sky", "car"))
    sheet = np.array(Image.open(tmp_path / "sheet.png"))
    line = GAP + TEXT + GAP + 20  # through the first row of panels, above the numbers in their middle
    colours = [sheet[line, GAP + 100 + column * (PANEL_WIDTH + GAP)].tolist() for column in range(3)]
    assert colours == [[255, 255, 255], palette(3)[0], palette(3)[1]]
    legend = {tuple(pixel) for pixel in sheet[-GAP - 20 :].reshape(-1, 3).tolist()}
    assert tuple(palette(3)[0]) in legend
    assert tuple(palette(3)[2]) not in legend  # no pixel is a car
