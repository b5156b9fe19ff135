"""Every kind of image becomes RGB in a known way, and a reduced JPEG stays close to the whole one."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import pil_loader

from pretrain.core.errors import DataError
from pretrain.images.crops import Crop
from pretrain.images.decode import RESERVE, Picture, plain_jpeg, reduced_box, reductions

Encode = Callable[..., bytes]
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def loaded(data: bytes) -> np.ndarray:
    """(H, W, 3) as a run sees it; Pillow's view of it must be the same."""
    pixels = Picture(data, "x").pixels().permute(1, 2, 0).numpy()
    assert np.array_equal(pixels, np.asarray(Picture(data, "x").rgb()))
    return pixels


ORIENTED = Image.Exif()
ORIENTED[0x0112] = 6  # turn by a quarter to show it
KINDS = {
    "grey": encoded(NOISE.convert("L"), "PNG"),
    "bilevel": encoded(NOISE.convert("1"), "PNG"),
    "palette": encoded(NOISE.convert("P"), "PNG"),
    "grey with alpha": encoded(NOISE.convert("LA"), "PNG"),
    "RGBA": encoded(NOISE.convert("RGBA"), "PNG"),
    "BMP": encoded(NOISE, "BMP"),
    "lossless WebP": encoded(NOISE, "WEBP", lossless=True),
    "JPEG": encoded(NOISE, "JPEG"),
    "JPEG without subsampling": encoded(NOISE, "JPEG", subsampling=0),
    "progressive JPEG": encoded(NOISE, "JPEG", progressive=True),
    "grey JPEG": encoded(NOISE.convert("L"), "JPEG"),
    "RGB JPEG": encoded(NOISE, "JPEG", keep_rgb=True),
    "CMYK JPEG": encoded(NOISE.convert("CMYK"), "JPEG"),
    "JPEG with an orientation": encoded(NOISE, "JPEG", exif=ORIENTED),
    "JPEG with a thumbnail": encoded(NOISE, "JPEG", exif=b"Exif\0\0" + encoded(NOISE.resize((9, 7)), "JPEG")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_becomes_what_torchvisions_image_folder_makes_of_it(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("kinds") / "image"
    path.write_bytes(KINDS[kind])
    assert np.array_equal(loaded(KINDS[kind]), np.asarray(pil_loader(str(path))))
    assert Picture(KINDS[kind], "x").size == (50, 37)


def test_transparency_is_dropped_and_not_blended() -> None:
    image = NOISE.convert("RGBA")
    image.putalpha(0)
    assert np.array_equal(loaded(encoded(image, "PNG")), np.asarray(NOISE))
    palette = NOISE.convert("P")
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(loaded(encoded(palette, "PNG", transparency=bytes(256))), expected)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_keeps_its_high_byte(form: str) -> None:
    values = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    pixels = loaded(encoded(Image.fromarray(values), form))
    assert np.array_equal(pixels, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_without_a_known_range_are_refused(kind: type) -> None:
    with pytest.raises(DataError, match="known range"):
        Picture(encoded(Image.fromarray(np.ones((4, 4), kind)), "TIFF"), "x").pixels()


@pytest.mark.parametrize("kind", ["JPEG", "palette"])
def test_a_truncated_image_is_named(kind: str) -> None:
    with pytest.raises(DataError, match="can't decode the image name"):
        Picture(KINDS[kind][: len(KINDS[kind]) // 2], "name").pixels()


def test_only_plain_jpegs_are_taken_for_such() -> None:
    plain = {kind for kind, data in KINDS.items() if plain_jpeg(data)}
    assert plain == {kind for kind in KINDS if "JPEG" in kind} - {"CMYK JPEG"}
    start = KINDS["JPEG"].index(b"\xff\xc0")
    filled = KINDS["JPEG"][:start] + b"\xff\xff" + KINDS["JPEG"][start:]
    assert plain_jpeg(filled) == (50, 37)
    assert np.array_equal(loaded(filled), loaded(KINDS["JPEG"]))
    assert plain_jpeg(KINDS["JPEG"][:30]) is None
    assert plain_jpeg(b"") is None


def test_the_largest_reduction_is_taken_that_leaves_every_box_its_reserve() -> None:
    side = round(10 * RESERVE)  # of a box that is just large enough for a crop of 10 pixels
    boxes = np.array([[0, 0, side * f, side * f] for f in (1, 1.9, 2, 4, 7.9, 8, 100)])
    assert reductions([boxes], [10]) == [1, 1, 2, 4, 4, 8, 8]
    assert reductions([boxes, boxes], [10, 20]) == [1, 1, 1, 2, 2, 4, 8]
    narrow = np.array([[5, 0, 5 + side, 900]])
    assert reductions([narrow], [10]) == [1]


def test_crops_of_reduced_jpegs_stay_within_the_stated_bound(photographs: list[Image.Image], jpeg: Encode) -> None:
    worst, means = 0, []
    rng = np.random.default_rng(0)
    for number, photograph in enumerate(photographs):
        large = photograph.resize((1024, 1024), Image.Resampling.LANCZOS) if number % 2 else photograph
        picture = Picture(jpeg(large), "x")
        for factor in (2, 4, 8):
            w, h = rng.integers(large.width // 2, large.width + 1, 2).tolist()
            left, top = int(rng.integers(large.width - w + 1)), int(rng.integers(large.height - h + 1))
            box = (left, top, left + w, top + h)
            crop = Crop(int(min(w, h) / (factor * RESERVE)), (0.2, 1.0))
            reduced, moved = picture.pixels(factor), reduced_box(box, factor)
            assert reduced.shape == (3, large.height // factor, large.width // factor)
            same = tuple(factor * side for side in moved)
            assert max(abs(a - b) for a, b in zip(same, box, strict=True)) <= factor / 2 <= min(w, h) / crop.size / 4 + 1e-9
            difference = (crop.cut(picture.pixels(), same).int() - crop.cut(reduced, moved).int()).abs()
            worst = max(worst, int(difference.max()))
            means.append(float(difference.float().mean()))
    assert worst <= 16
    assert np.mean(means) <= 1.1


def test_other_images_than_jpegs_are_never_reduced() -> None:
    assert not Picture(KINDS["palette"], "x").reducible
    assert not Picture(KINDS["CMYK JPEG"], "x").reducible
    assert Picture(KINDS["JPEG"], "x").reducible


def test_pixels_lie_with_the_channels_last() -> None:
    for kind in ("JPEG", "palette"):
        assert Picture(KINDS[kind], "x").pixels()[None].is_contiguous(memory_format=torch.channels_last)
