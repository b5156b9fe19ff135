"""Every kind of image through every reader: the pixels that are documented, or one message that names the file."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images import imageset
from pretrain.images.crops import CentreCrop
from pretrain.images.decode import MAX_PIXELS
from pretrain.images.loading import Crops
from transfer.datasets.objects import Picture, read_image
from transfer.segmentation.label_maps import Sample, draw

W, H = 24, 16
RAMP = np.linspace(0, 255, W * H * 3, dtype=np.uint8).reshape(H, W, 3)
GREY = RAMP[:, :, 0]


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def enormous() -> bytes:
    """A PNG of some bytes that says it is 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    return encoded(Image.fromarray(RAMP), exif=exif)


RGB = Image.fromarray(RAMP)
READ: dict[str, Callable[[], bytes]] = {
    "RGB": lambda: encoded(RGB),
    "JPEG": lambda: encoded(RGB, "JPEG"),
    "progressive JPEG": lambda: encoded(RGB, "JPEG", progressive=True),
    "CMYK": lambda: encoded(RGB.convert("CMYK"), "JPEG"),
    "16-bit grey": lambda: encoded(Image.fromarray(GREY.astype(np.uint16) * 257)),
    "grey": lambda: encoded(Image.fromarray(GREY)),
    "grey with transparency": lambda: encoded(Image.fromarray(GREY).convert("LA")),
    "RGBA": lambda: encoded(RGB.convert("RGBA")),
    "palette": lambda: encoded(RGB.convert("P")),
    "palette with transparency": lambda: encoded(RGB.convert("P"), transparency=3),
    "two colours": lambda: encoded(RGB.convert("1")),
    "turned by EXIF": turned,
    "one pixel": lambda: encoded(Image.new("RGB", (1, 1), (9, 8, 7))),
    "WebP": lambda: encoded(RGB, "WEBP", lossless=True),
    "TIFF": lambda: encoded(RGB, "TIFF"),
    "wrong suffix": lambda: encoded(RGB, "BMP"),
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "truncated PNG": lambda: encoded(RGB)[:90],
    "truncated JPEG": lambda: encoded(RGB, "JPEG")[:-40],
    "header only": lambda: encoded(RGB)[:33],
    "empty": lambda: b"",
    "text": lambda: b"<!DOCTYPE html><title>404</title>",
    "a pickle": lambda: b"\x80\x04K\x01.",
    "enormous": enormous,
    "floats": lambda: encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    "broken chunk": lambda: encoded(RGB)[:40] + b"\xff" * 8 + encoded(RGB)[48:],
}
Reader = Callable[[Path, bytes], np.ndarray]


def _from(found: imageset.ImageSet) -> np.ndarray:
    Crops(found, found.labels, [CentreCrop(8)], seed=0).__getitems__([(0, 0)])
    return np.asarray(found.open(0))


def folder(root: Path, data: bytes) -> np.ndarray:
    (root / "train/ant").mkdir(parents=True)
    (root / "train/ant/image.jpg").write_bytes(data)
    return _from(imageset.read(root, "train"))


def archive(root: Path, data: bytes) -> np.ndarray:
    with zipfile.ZipFile(root / "train.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("ant/image.jpg", data)
    return _from(imageset.read(root, "train"))


def detection(root: Path, data: bytes) -> np.ndarray:
    path = root / "image.jpg"
    path.write_bytes(data)
    size = (H, W) if data == turned() else (1, 1) if data == READ["one pixel"]() else (W, H)
    boxes, nothing = np.zeros((0, 4), np.float32), np.zeros(0, bool)
    return np.asarray(read_image(Picture(path, "image", *size, boxes, nothing.astype(np.int64), nothing, nothing, None)))


def segmentation(root: Path, data: bytes) -> np.ndarray:
    """The picture of some predictions; what its loader reads is MMSegmentation's."""
    path = root / "image.jpg"
    path.write_bytes(data)
    zeros = np.zeros((H, W), np.uint8)
    draw(root / "drawn.png", [Sample(path, zeros, zeros)], ["road"])
    with Image.open(root / "drawn.png") as drawn:
        return np.asarray(drawn)


READERS: dict[str, Reader] = {"folder": folder, "zip": archive, "detection": detection, "segmentation": segmentation}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", READ)
def test_an_image_that_can_be_read_is_rgb(tmp_path: Path, kind: str, reader: str) -> None:
    pixels = READERS[reader](tmp_path, READ[kind]())
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    if reader != "segmentation" and kind in ("RGB", "RGBA", "WebP", "TIFF", "wrong suffix"):
        assert np.array_equal(pixels, RAMP)
    if reader != "segmentation" and kind in ("grey", "16-bit grey", "grey with transparency"):
        assert np.array_equal(pixels, np.stack([GREY] * 3, axis=2))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", REFUSED)
def test_an_image_that_cannot_be_read_is_one_message_with_its_name(tmp_path: Path, kind: str, reader: str) -> None:
    with pytest.raises(DataError) as caught:
        READERS[reader](tmp_path, REFUSED[kind]())
    message = str(caught.value)
    assert "can't decode the image " in message
    assert "image.jpg" in message
    assert "\n  seen:" in message
    if kind == "enormous":
        assert f"at most {MAX_PIXELS:,} pixels" in message


def packed(path: Path, *members: tuple[str, bytes], mode: int = 0o644) -> Path:
    path.mkdir(exist_ok=True)
    with zipfile.ZipFile(path / "train.zip", "w") as opened:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            opened.writestr(info, data)
    return path


def patched(root: Path, old: bytes, new: bytes) -> Path:
    """The zip with some of its bytes put for others."""
    data = (root / "train.zip").read_bytes()
    assert old in data
    (root / "train.zip").write_bytes(data.replace(old, new))
    return root


PNG = encoded(RGB)
DIRECTORY = b"PK\x01\x02"


def bomb(root: Path) -> Path:
    """A member that would unpack to a gigabyte and more."""
    with zipfile.ZipFile(root / "train.zip", "w", zipfile.ZIP_DEFLATED) as opened, opened.open("ant/1.png", "w") as member:
        for _ in range(1025):
            member.write(bytes(2**20))
    return root


def overlong(root: Path) -> Path:
    """Its directory claims more packed bytes than the file has."""
    packed(root, ("ant/1.png", PNG))
    data = bytearray((root / "train.zip").read_bytes())
    struct.pack_into("<I", data, data.index(DIRECTORY) + 20, 0x7FFFFFFF)
    (root / "train.zip").write_bytes(data)
    return root


def no_directory(root: Path) -> Path:
    packed(root, ("ant/1.png", PNG))
    data = (root / "train.zip").read_bytes()
    (root / "train.zip").write_bytes(data[: data.index(DIRECTORY)])
    return root


def large_numbers(root: Path) -> Path:
    """Extra fields that say its sizes are beyond 64 bits (zip64)."""
    packed(root, ("ant/1.png", PNG))
    data = bytearray((root / "train.zip").read_bytes())
    at = data.index(DIRECTORY)
    struct.pack_into("<III", data, at + 16, 0, 0xFFFFFFFF, 0xFFFFFFFF)
    (root / "train.zip").write_bytes(data)
    return root


def encrypted(root: Path) -> Path:
    packed(root, ("ant/1.png", PNG))
    data = bytearray((root / "train.zip").read_bytes())
    data[data.index(DIRECTORY) + 8] |= 1
    (root / "train.zip").write_bytes(data)
    return root


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a path outside": (lambda root: packed(root, ("ant/1.png", PNG), ("../bee/2.png", PNG)), "a path that leads outside"),
    "a path from the root": (lambda root: packed(root, ("ant/1.png", PNG), ("/etc/2.png", PNG)), "a path that leads outside"),
    "a drive": (lambda root: packed(root, ("ant/1.png", PNG), ("C:/bee/2.png", PNG)), "a path that leads outside"),
    "a link": (lambda root: packed(root, ("ant/1.png", b"/etc/passwd"), mode=0o120777), "a link"),
    "a name twice": (
        lambda root: patched(packed(root, ("ant/1.png", PNG), ("ant/2.png", PNG)), b"ant/2", b"ant/1"),
        "the second of that name",
    ),
    "a name of two lines": (lambda root: packed(root, ("ant/1\nbee.png", PNG)), "name of several lines"),
    "encrypted": (encrypted, "encrypted"),
    "a bomb": (bomb, "1,074,790,400 bytes, unpacked"),
    "beyond the file's end": (overlong, "it would end at byte"),
    "no directory": (no_directory, "not a zip file"),
    "large numbers": (large_numbers, "can't read"),
    "empty file": (lambda root: (root / "train.zip").touch() or root, "not a zip file"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_is_not_plain_is_refused_before_anything_is_unpacked(tmp_path: Path, kind: str) -> None:
    lay, words = ARCHIVES[kind]
    with pytest.raises(DataError) as caught:
        imageset.read(lay(tmp_path), "train")
    assert words in str(caught.value)
    assert "train.zip" in str(caught.value)


def test_a_member_that_unpacks_to_more_than_it_says_goes_no_further(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("ant/1.png", bytes(2**20))
    data = bytearray((tmp_path / "train.zip").read_bytes())
    struct.pack_into("<I", data, data.index(DIRECTORY) + 24, 100)
    (tmp_path / "train.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"ant/1\.png in .*train\.zip"):
        imageset.read(tmp_path, "train").open(0)


def test_a_pipe_among_the_images_does_not_wait_for_ever(tmp_path: Path) -> None:
    import os

    (tmp_path / "train/ant").mkdir(parents=True)
    os.mkfifo(tmp_path / "train/ant/1.png")
    with pytest.raises(DataError, match=r"can't decode the image ant/1\.png"):
        imageset.read(tmp_path, "train").open(0)
