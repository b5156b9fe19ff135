"""Masks cropped to a box and pasted back."""

import numpy as np
import pytest
import torch

from transfer.detection import masks as mask_ops

SQUARE = np.array([10, 10, 50, 10, 50, 50, 10, 50.0])


def test_a_polygon_that_fills_its_box_fills_the_crop() -> None:
    assert mask_ops.crop([(SQUARE,)], torch.tensor([[10.0, 10, 50, 50]]), 14).tolist() == np.ones((1, 14, 14)).tolist()


def test_the_crop_shows_the_part_inside_the_box() -> None:
    crops = mask_ops.crop([(SQUARE,)] * 2, torch.tensor([[30.0, 10, 70, 50], [60.0, 60, 90, 90]]), 14)
    assert crops[0, :, :7].all()
    assert not crops[0, :, 7:].any()
    assert not crops[1].any()


def test_polygons_of_one_object_are_joined() -> None:
    left, right = np.array([10, 10, 20, 10, 20, 50, 10, 50.0]), np.array([40, 10, 50, 10, 50, 50, 40, 50.0])
    crop = mask_ops.crop([(left, right)], torch.tensor([[10.0, 10, 50, 50]]), 8)[0]
    assert crop.mean(dim=0).tolist() == [1, 1, 0, 0, 0, 0, 1, 1]


def test_pixels_and_polygons_of_one_shape_give_one_crop() -> None:
    pixels = np.zeros((60, 80), dtype=np.uint8)
    pixels[10:50, 10:50] = 1
    box = torch.tensor([[0.0, 0, 80, 60]])
    crops = mask_ops.crop([pixels], box, 20), mask_ops.crop([(SQUARE,)], box, 20)
    assert float((crops[0] - crops[1]).abs().mean()) < 0.05  # less than one row of the 20


def test_no_regions_give_no_crops() -> None:
    assert mask_ops.crop([], torch.zeros(0, 4), 14).shape == (0, 14, 14)


def test_a_full_mask_is_pasted_as_its_box() -> None:
    pasted = mask_ops.paste(torch.ones(14, 14), torch.tensor([10.0, 20, 40, 30]), 60, 80)
    assert pasted.sum() == 30 * 10
    assert pasted[20:30, 10:40].all()


def test_a_pasted_mask_is_cut_at_the_image() -> None:
    pasted = mask_ops.paste(torch.ones(14, 14), torch.tensor([60.0, 50, 80, 60]), 60, 80)
    assert pasted.shape == (60, 80)
    assert pasted[50:, 60:].all()
    assert pasted.sum() == 200


def test_each_pixel_samples_the_mask_at_its_centre() -> None:
    mask = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([3.0, 5, 19, 29])
    pasted = mask_ops.paste(mask, box, 40, 30)
    for y, x in ((5, 3), (17, 11), (28, 18), (11, 6)):
        row, column = (y + 0.5 - 5) / 24 * 4 - 0.5, (x + 0.5 - 3) / 16 * 4 - 0.5
        value = 0.0
        for i in range(4):
            for j in range(4):
                value += max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j)) * float(mask[i, j])
        assert pasted[y, x] == (value >= mask_ops.THRESHOLD)


def test_encoding_and_decoding_are_inverse() -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (13, 17), dtype=np.uint8)
    assert np.array_equal(mask_ops.decode(mask_ops.encode(pixels)), pixels)
    assert isinstance(mask_ops.encode(pixels)["counts"], str)


@pytest.mark.parametrize("form", ["polygons", "runs"])
def test_a_mask_in_the_image_has_its_area(form: str) -> None:
    pixels = np.zeros((60, 80), dtype=np.uint8)
    pixels[10:50, 10:50] = 1
    mask = (SQUARE,) if form == "polygons" else mask_ops.encode(pixels)
    assert mask_ops.in_image(mask, 60, 80).sum() == pytest.approx(1600, rel=0.06)
