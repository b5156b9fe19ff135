"""Label maps as other tools write them: colours, palettes, grey ids of 8 or 16 bits, 0 and 255."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images.decode import BROKEN, opened
from transfer.arrange.naming import Colour, Named
from transfer.datasets.segmentation import IGNORE

LARGEST_ID = IGNORE - 1
BORDER: Colour = (224, 224, 192)
"""VOC's colour of outlines, which are ignored."""
BACKGROUND = "background"
BINARY = {0, 255}
MOST_SEEN = 4
"""Values that a message lists."""


@dataclass(frozen=True)
class Maps:
    """How the label maps of an export are read."""

    names: tuple[str, ...]
    """Names of the classes, in the order of their numbers."""
    codes: Mapping[int, int] | None = None
    """Colour, as red · 2¹⁶ + green · 2⁸ + blue, → number; None: the maps hold numbers."""
    binary: bool = False
    """Whether 255 is the one class beside the background."""

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """Read a label map (H, W): numbers of classes, 255 for ignored pixels.

        Raises:
            DataError: If it can't be read, or has a value without a meaning.
        """
        values = _coded(path) if self.codes is not None else _numbers(path)
        found, places = np.unique(values, return_inverse=True)
        table = [self._number(int(value), path) for value in found]
        return np.array(table, dtype=np.uint8)[places].reshape(values.shape)

    def _number(self, value: int, path: Path) -> int:
        if self.codes is not None:
            if value in self.codes:
                return self.codes[value]
            raise DataError(
                f"{path} has a colour without a class",
                seen=_colour(value),
                allowed="the colours of the list",
                fix="add it to the list, and pass that with --classes FILE",
            )
        if self.binary and value == IGNORE:
            return 1
        if value == IGNORE or value < len(self.names):
            return value
        raise DataError(
            f"{path} has a label id without a class",
            seen=value,
            allowed=f"0 to {len(self.names) - 1}, or {IGNORE} for ignored pixels",
            fix="name every class in the order of the ids: --classes a,b,c",
        )


def maps_of(paths: Sequence[Path], named: Named | None, spare: Sequence[str] | None = None) -> Maps:
    """Find out how label maps are read: by a list's colours, by VOC's palette, or as numbers.

    Args:
        paths: All label maps.
        named: Classes, with or without their colours; None: nobody named them.
        spare: Names to take if nobody did and there are as many numbers at most.

    Raises:
        DataError: If a map can't be read, its colours are on no list, or its classes have no names.
    """
    coloured = [_is_coloured(path) for path in paths]
    if named is not None and named.colours is not None:
        codes = {_code(colour): number for colour, number in named.colours.items()}
        ids = {*range(len(named.names)), IGNORE}
        # A palette may number its colours in any order, so colours that the list explains count more than ids.
        if any(coloured) or _within(codes, _coded, paths) or not _within(ids, _numbers, paths):
            return Maps(named.names, {0: IGNORE, _code(BORDER): IGNORE} | codes)
        return Maps(named.names)
    if any(coloured):
        codes = _voc_palette()
        unknown = next((int(value) for path in paths for value in np.unique(_coded(path)) if int(value) not in codes), None)
        if unknown is not None:
            raise DataError(
                "the label maps are colours that no list explains",
                seen=_colour(unknown),
                fix="pass a list with --classes FILE: `red green blue name` in each line",
            )
        seen = {codes[int(value)] for path in paths for value in np.unique(_coded(path))}
        return Maps(_names(seen - {IGNORE}, named, spare), codes)
    seen = {value for path in paths for value in _values(path)}
    if seen == {IGNORE}:
        raise DataError(
            f"all pixels of the label maps are {IGNORE}, which is ignored",
            allowed=f"ids from 0, or 0 and {IGNORE} for the background and one class",
            fix="write the ids of the classes",
        )
    if seen == BINARY:
        names = (BACKGROUND, *named.names) if named is not None and len(named.names) == 1 else _names({0, 1}, named, None)
        return Maps(names, binary=True)
    return Maps(_names(seen - {IGNORE}, named, spare))


def _within(known: Container[int], read: Callable[[Path], NDArray[np.int64]], paths: Sequence[Path]) -> bool:
    return all(int(value) in known for path in paths for value in np.unique(read(path)))


def _names(seen: set[int], named: Named | None, spare: Sequence[str] | None) -> tuple[str, ...]:
    highest = max(seen, default=0)
    if highest > LARGEST_ID:
        raise DataError(
            "the label maps have more ids than a layout holds",
            seen=highest,
            allowed=f"0 to {LARGEST_ID}",
            fix="number the classes 0, 1, 2, …",
        )
    if named is None and spare is not None and highest < len(spare):
        return tuple(spare)
    if named is None or highest >= len(named.names):
        ids = ", ".join(map(str, sorted(seen)[:MOST_SEEN])) + (", …" if len(seen) > MOST_SEEN else "")
        given = "no names" if named is None else f"{len(named.names)} names"
        raise DataError(
            "the classes of the label maps have no names",
            seen=f"ids {ids} up to {highest}, and {given}",
            allowed=f"{highest + 1} names, in the order of the ids from 0",
            fix="name them: --classes background,cat,dog, or --classes FILE with one a line"
            + ("; no pixel is 0, which needs a name all the same" if 0 not in seen else ""),
        )
    return named.names


def _picture(path: Path) -> Image.Image:
    picture = opened(path, str(path))
    if picture.format in ("JPEG", "WEBP") or picture.mode in ("F", "CMYK", "YCbCr", "LAB", "HSV"):
        seen = f"a {picture.format} of mode {picture.mode}"
        picture.close()
        raise DataError(f"{path} is no label map", seen=seen, allowed="a PNG or another format that keeps every value")
    return picture


def _read(path: Path, mode: str | None) -> NDArray[np.int64]:
    try:
        with _picture(path) as picture:
            return np.array(picture.convert(mode) if mode else picture).astype(np.int64)
    except BROKEN as error:
        raise DataError(f"can't read the label map {path}", seen=error) from None


def _is_coloured(path: Path) -> bool:
    """Tell whether a map is in colours that are no shades of grey.

    Raises:
        DataError: If its alpha tells pixels apart that have one colour.
    """
    with _picture(path) as picture:
        mode = picture.mode
    if mode in ("LA", "RGBA") and _says_more(_read(path, "RGBA")):
        allowed = "an opaque picture, or one whose colours alone tell the classes apart"
        raise DataError(f"{path} has its classes in its alpha channel", allowed=allowed, fix="write that channel as a grey PNG")
    if mode not in ("RGB", "RGBA"):
        return False
    values = _read(path, "RGB")
    return bool((values[..., 0] != values[..., 1]).any() or (values[..., 1] != values[..., 2]).any())


def _says_more(pixels: NDArray[np.int64]) -> bool:
    """Tell whether the alpha of RGBA pixels (H, W, 4) differs where the colours are equal."""
    colours = (pixels[..., 0] << 16) + (pixels[..., 1] << 8) + pixels[..., 2]
    return len(np.unique(colours)) < len(np.unique((colours << 8) + pixels[..., 3]))


def _coded(path: Path) -> NDArray[np.int64]:
    values = _read(path, "RGB")
    return (values[..., 0] << 16) + (values[..., 1] << 8) + values[..., 2]


def _numbers(path: Path) -> NDArray[np.int64]:
    values = _read(path, None)
    return values if values.ndim == 2 else values[..., 0]


def _values(path: Path) -> list[int]:
    values: list[int] = np.unique(_numbers(path)).tolist()
    return values


def _code(colour: Colour) -> int:
    return (colour[0] << 16) + (colour[1] << 8) + colour[2]


def _colour(code: int) -> str:
    return f"({code >> 16}, {code >> 8 & 255}, {code & 255})"


def _voc_palette() -> dict[int, int]:
    """VOC's colours: the bits of the id, three by three, are the highest bits of red, green and blue (`VOClabelcolormap.m`)."""
    codes = {_code(BORDER): IGNORE}
    for number in range(IGNORE):
        colour = [sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)]
        codes[_code((colour[0], colour[1], colour[2]))] = number
    return codes
