"""The order of images, and what the detector sees of each."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretrain.core.errors import DataError
from transfer.datasets import coco
from transfer.datasets.objects import Picture, read_image
from transfer.detection import masks as mask_ops
from transfer.engines.torchvision.data import TrainingImages, batches, resized_shape, training_sample
from transfer.tasks.detection import DetectionSettings


def picture(path: Path = Path("nowhere"), width: int = 40, height: int = 30, objects: int = 1) -> Picture:
    boxes = np.array([[4.0, 6, 20, 18]] * objects, dtype=np.float32).reshape(-1, 4)
    none = np.zeros(objects, dtype=bool)
    masks = tuple((np.array([4.0, 6, 20, 6, 20, 18]),) for _ in range(objects))
    return Picture(path, 1, width, height, boxes, np.zeros(objects, dtype=np.int64), none, none, masks)


@pytest.fixture
def image(tmp_path: Path) -> Picture:
    numbers = np.random.default_rng(0)
    Image.fromarray(numbers.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    return picture(tmp_path / "a.png")


def test_each_pass_shows_every_image_once_in_another_order() -> None:
    draws = [draw for batch in itertools.islice(batches([picture()] * 12, 4, seed=0), 6) for draw in batch]
    assert [count for count, _ in draws] == list(range(24))
    first, second = [index for _, index in draws[:12]], [index for _, index in draws[12:]]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_a_batch_has_only_wide_or_only_other_images() -> None:
    pictures = [picture(width=40 if index % 3 else 20) for index in range(11)]
    for batch in itertools.islice(batches(pictures, 3, seed=0), 20):
        assert len(batch) == 3
        assert len({pictures[index].width for _, index in batch}) == 1


def test_the_order_is_the_seeds() -> None:
    def order(seed: int) -> list[list[tuple[int, int]]]:
        return list(itertools.islice(batches([picture()] * 9, 2, seed), 9))

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_a_draw_is_the_same_whenever_it_is_made(image: Picture, tiny_detection: Callable[..., DetectionSettings]) -> None:
    images = TrainingImages([image], tiny_detection(min_sizes=(20, 25, 30, 35)), seed=0)
    samples = [images[count, 0] for count in range(8)]
    again = [images[count, 0] for count in reversed(range(8))][::-1]
    assert all(torch.equal(a.image, b.image) for a, b in zip(samples, again, strict=True))
    assert len({tuple(sample.image.shape) for sample in samples}) > 1


@pytest.mark.parametrize(
    ("height", "width", "short", "longest", "expected"),
    [
        (480, 640, 800, 1333, (800, 1067)),
        (640, 480, 800, 1333, (1067, 800)),
        (375, 500, 480, 1333, (480, 640)),
        (100, 500, 800, 1333, (267, 1333)),
        (96, 96, 128, 256, (128, 128)),
    ],
)
def test_the_short_side_is_scaled_unless_the_long_one_grows_too_long(
    height: int, width: int, short: int, longest: int, expected: tuple[int, int]
) -> None:
    assert resized_shape(height, width, short, longest) == expected


def test_boxes_and_masks_go_where_the_pixels_go(image: Picture) -> None:
    plain, flipped = (training_sample(image, 60, 200, flip, masks=True) for flip in (False, True))
    assert torch.equal(plain.image.flip(2), flipped.image)
    assert plain.target.boxes.tolist() == [[8, 12, 40, 36]]
    assert flipped.target.boxes.tolist() == [[40, 12, 72, 36]]
    assert plain.masks[0][0].tolist() == [8, 12, 40, 12, 40, 36]
    assert flipped.masks[0][0].tolist() == [72, 12, 40, 12, 40, 36]


def test_run_length_masks_are_resized_and_flipped(image: Picture) -> None:
    pixels = np.zeros((30, 40), dtype=np.uint8)
    pixels[6:18, 4:20] = 1
    encoded = dataclasses.replace(image, masks=(mask_ops.encode(pixels),))
    plain, flipped = (training_sample(encoded, 60, 200, flip, masks=True).masks[0] for flip in (False, True))
    assert np.array_equal(plain, pixels.repeat(2, axis=0).repeat(2, axis=1))
    assert np.array_equal(flipped, plain[:, ::-1])


def test_crowd_regions_are_not_shown(image: Picture) -> None:
    crowd = dataclasses.replace(image, crowd=np.array([True]))
    sample = training_sample(crowd, 30, 100, False, masks=True)
    assert sample.target.boxes.shape == (0, 4)
    assert sample.masks == ()


def test_an_image_of_another_size_than_annotated_is_named(image: Picture) -> None:
    with pytest.raises(DataError, match="another size than annotated") as caught:
        read_image(dataclasses.replace(image, width=41))
    assert str(image.path) in str(caught.value)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"can't decode the image .*a\.png"):
        read_image(picture(tmp_path / "a.png"))


def test_grey_images_become_rgb_and_turned_ones_are_turned(tmp_path: Path) -> None:
    Image.new("L", (40, 30), 7).save(tmp_path / "grey.png")
    assert read_image(picture(tmp_path / "grey.png")).getpixel((0, 0)) == (7, 7, 7)
    turned = Image.new("RGB", (30, 40))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(picture(tmp_path / "turned.jpg")).size == (40, 30)


def test_samples_of_a_real_layout_have_one_mask_per_box(lay_coco: Callable[..., Path]) -> None:
    data = coco.read(lay_coco())
    for each in data.train:
        sample = training_sample(each, 64, 100, False, masks=True)
        assert len(sample.masks) == len(sample.target.boxes) == len(sample.target.labels) == 2
