"""Decoding a file's bytes to RGB pixels, and JPEGs at a fraction of their size.

- Grey and palette images become RGB; transparency is dropped, not blended; CMYK is converted without a colour profile: as in
  torchvision's ImageFolder, by Pillow's `convert("RGB")`.
- NOTE: of 16-bit grey the high byte is used. Pillow's own conversion would clip everything above 255 to white.
- Pixels without a known range (32-bit integers, floats) are refused.
- NOTE: the EXIF orientation is not applied, as in torchvision's ImageFolder: published numbers come from it.
- Images of more than `MAX_PIXELS` are refused before anything is decoded: a file of kilobytes can claim gigabytes.
- Plain JPEGs are decoded by torchvision, which gives Pillow's bytes in two thirds of the time; Pillow is the fallback.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pretrain.core import access
from pretrain.core.errors import ImageError
from pretrain.core.instead import instead
from pretrain.images.crops import Box

REDUCTIONS = (8, 4, 2)
"""Factors by which libjpeg can divide both sides while it decodes, besides 1."""
RESERVE = 2.0
"""Pixels along each side of a reduced box, per pixel of its crop, at least. Crops of images reduced by 2, 4 and 8 were
compared with crops of the whole images, on photographs with sides of 256, 384 and 1024 pixels. With the same boxes they differ
by at most 14/255, and by 1.1/255 in the mean of the worst set; with a reserve of 1 by 49 and 2.9, with 4 by 5 and 0.4.
NOTE: boxes are drawn for the whole image and rounded to whole pixels of the reduced one, which moves them by at most a quarter
of a pixel of the crop: compared with the boxes as drawn the mean is 3.1/255."""
BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error, MemoryError, OverflowError, RuntimeError),
    *(AttributeError, LookupError, TypeError, ArithmeticError, AssertionError, Image.DecompressionBombError),
)
"""Exceptions that broken files raise in Pillow's readers."""
MAX_PIXELS: int = 2 * (Image.MAX_IMAGE_PIXELS or 2**30 // 12)
"""Pixels of an image at most: the bound from which on Pillow refuses (half a gigabyte as RGB)."""
REPLACE = "replace or remove that file"
HEAD = 256
"""Bytes that show what a file is."""
TEXT = re.compile(rb"(?!P[1-7])[\t\n\r -~]+\Z")
"""Matches the beginning of plain text, which no image's is but that of a PNM."""
_ADDRESS = re.compile(r" <[\w.]+ object at 0x[0-9a-f]+>")
"""What Pillow calls an image that was read into memory: another name in every run."""
_ALLOWED = f"at most {MAX_PIXELS:,} pixels"


class Picture:
    """An image whose header was read. Its `size` is known; the pixels are decoded on demand."""

    __slots__ = ("_image", "data", "name", "reducible", "size")

    def __init__(self, data: bytes, name: str) -> None:
        """Read the header.

        Raises:
            DataError: If it isn't an image; names it.
        """
        self.data, self.name = data, name
        self._image: Image.Image | None = None
        size = plain_jpeg(data)
        self.reducible = size is not None
        """Whether it can be decoded at a fraction of its size: whether it is a plain JPEG."""
        self.size: tuple[int, int] = size or self._opened().size
        """Width and height, in pixels."""

    def pixels(self, reduction: int = 1) -> Tensor:
        """Decode to (3, H, W) uint8, channels last in memory; a JPEG's sides are divided by `reduction` and rounded up.

        Raises:
            DataError: If it can't be decoded; names it.
        """
        decode = jpeg_decoder() if self.reducible and reduction == 1 else None
        if decode is not None:
            data = torch.frombuffer(bytearray(self.data), dtype=torch.uint8)
            try:
                return decode(data)
            except RuntimeError:
                pass  # Pillow decodes it, or raises a better message
        return torch.from_numpy(np.array(self.rgb(reduction))).permute(2, 0, 1)

    def rgb(self, reduction: int = 1) -> Image.Image:
        """Decode to an image of Pillow's, as `pixels` does.

        Raises:
            DataError: If it can't be decoded; names it.
        """
        image, self._image = self._opened(), None  # kept here, it would hold its pixels until the batch is done
        if reduction > 1:
            image.draft(None, (self.size[0] // reduction, self.size[1] // reduction))
        return rgb(image, self.name)

    def _opened(self) -> Image.Image:
        if self._image is None:
            self._image = opened(io.BytesIO(self.data), self.name)
        return self._image


@cache
def jpeg_decoder() -> Callable[[Tensor], Tensor] | None:
    """Return torchvision's operator; None if a release dropped it. Its wrapper warns since 0.29 that a later one will.

    The first call imports torchvision, for seconds: what forks workers calls it before, so that each of them needn't.
    """
    from torchvision.io import ImageReadMode  # its import makes the operator known to torch

    operator = getattr(torch.ops.image, "decode_jpeg", None)
    return None if operator is None else lambda data: operator(data, ImageReadMode.RGB.value, False)


def opened(file: io.BytesIO | Path, name: str) -> Image.Image:
    """Open an image and read its header.

    Raises:
        DataError: If it isn't an image, or is larger than `MAX_PIXELS`; names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its size, which is an error here, and about oddities in its metadata
            image = Image.open(file)
    except Image.DecompressionBombError as error:
        raise undecodable(name, error, _ALLOWED) from None
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno and isinstance(file, Path):
            raise unreadable(name, file, error) from None
        seen, fix = _instead(file) or (error, REPLACE)
        raise undecodable(name, seen, fix=fix) from None
    if image.width * image.height > MAX_PIXELS:
        raise undecodable(name, f"{image.width} × {image.height} pixels", _ALLOWED)
    return image


def _instead(file: io.BytesIO | Path) -> tuple[str, str] | None:
    """Say what a file is that is no image, by its beginning, and what to do; None if that is of no known kind."""
    if isinstance(file, Path):
        with file.open("rb") as beginning:
            head = beginning.read(HEAD)
    else:
        head = file.getvalue()[:HEAD]
    return instead(head) or (("plain text", REPLACE) if TEXT.match(head) else None)


def rgb(image: Image.Image, name: str, *, upright: bool = False) -> Image.Image:
    """Decode an opened image to RGB; `upright` applies its EXIF orientation.

    Raises:
        DataError: If it can't be decoded; names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _rgb(ImageOps.exif_transpose(image) if upright else image)
    except BROKEN as error:
        raise undecodable(name, error) from None


def plain_jpeg(data: bytes) -> tuple[int, int] | None:
    """Read the width and height of a baseline, extended or progressive JPEG, grey or of three colours; None for others."""
    at = _frame(data)
    if at is None:
        return None
    height, width, colours = struct.unpack_from(">HHB", data, at + 5)
    return (width, height) if colours in (1, 3) and 0 < height * width <= MAX_PIXELS else None


def sequential_jpeg(data: bytes) -> bool:
    """Tell whether this is a whole baseline JPEG of 8 bits, grey or in YCbCr: what every decoder decodes alike.

    Its components are numbered as JFIF says, and no Adobe marker says that they are RGB.
    """
    at = _frame(data)
    if at is None or plain_jpeg(data) is None or data[at + 1] == 0xC2 or data[at + 4] != 8:
        return False
    ids = data[at + 10 : at + 10 + 3 * data[at + 9] : 3]
    adobe = data.find(b"Adobe\0", 0, at)
    plain = len(ids) == 1 or (ids in (b"\1\2\3", b"\0\1\2") and (adobe < 0 or data[adobe + 11 : adobe + 12] == b"\1"))
    return plain and data.rstrip(b"\0").endswith(b"\xff\xd9")


def _frame(data: bytes) -> int | None:
    """Find the frame header of a JPEG, as ITU-T T.81 lays it out (B.1 and B.2.2); None where there is none of a known kind."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (0xC0, 0xC1, 0xC2):
            return at
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")  # fill bytes may precede a marker
    return None


def reductions(boxes: Sequence[np.ndarray], sizes: Sequence[int]) -> list[int]:
    """Choose the factor by which each image is decoded smaller: (N,), each 1, 2, 4 or 8.

    It is the largest that leaves all V boxes of an image at least `RESERVE` × the size of their crops on each side.

    Args:
        boxes: V of (N, 4).
        sizes: V sides of the crops, in pixels.
    """
    sides = [(box[:, 2:] - box[:, :2]).min(axis=1) / size for box, size in zip(boxes, sizes, strict=True)]
    least = np.min(sides, axis=0) / RESERVE
    return np.select([least >= factor for factor in REDUCTIONS], REDUCTIONS, 1).tolist()


def reduced_box(box: Box, factor: int) -> Box:
    """Scale a box to the reduced image and round it to whole pixels: by half of one at most, a quarter of a crop's pixel."""
    left, top, right, bottom = (round(side / factor) for side in box)
    return left, top, right, bottom


def undecodable(name: str, error: object, allowed: str | None = None, fix: str = REPLACE) -> ImageError:
    """Build the error for a file that isn't an image, or not one that can be decoded."""
    seen = _ADDRESS.sub("", f"{error}") or type(error).__name__
    return _named(name, ImageError(f"can't decode the image {name}", seen=seen, allowed=allowed, fix=fix))


def unreadable(name: str, path: Path | str, error: OSError) -> ImageError:
    """Build the error for an image whose file the operating system doesn't give: a dead link, a missing permission."""
    seen, fix = access.why_not(path, error)
    return _named(name, ImageError(f"can't read the image {name}", seen=seen, fix=fix or REPLACE))


def _named(name: str, error: ImageError) -> ImageError:
    error.name = name
    return error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are numbers without a known range (mode {image.mode})")
    image.info.pop("transparency", None)  # dropped on purpose: Pillow would warn about it
    return image.convert("RGB")
