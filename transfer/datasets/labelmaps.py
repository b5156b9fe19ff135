"""Label maps: one whole number per pixel, in whichever of a picture's modes a tool writes it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pretrain.core.errors import DataError
from pretrain.images.decode import BROKEN, opened, undecodable

INDEX_MODES = ("L", "P")
"""Pillow's modes of a picture with one 8-bit number per pixel."""
BIT = "1"
WIDE_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
"""Modes with one number of 16 or 32 bits per pixel."""
ONE_CHANNEL = (*INDEX_MODES, BIT, *WIDE_MODES)
"""Modes that every tool reads as one number per pixel."""
GREY_MODES = ("LA", "PA", "RGB", "RGBA")
"""Modes that hold one number per pixel where the colours are grey and the alpha is opaque."""
LABEL_IDS = 256
"""Label ids there can be."""
OPAQUE = 255
COLOURS = "write the training ids, not colours; `bench data arrange` turns the colours of known exports into ids"
"""What to do with label maps in colours."""


def read_ids(path: Path) -> NDArray[np.uint8]:
    """Read the label ids (H, W) of a map that `histogram` has counted; ids above 255 become 255."""
    with opened(path, str(path)) as label:
        return np.minimum(_numbers(label, path), LABEL_IDS - 1).astype(np.uint8)


def histogram(label: Image.Image, path: Path) -> list[int]:
    """Count the pixels of each label id, from 0 to 255 or to the largest that there is.

    Raises:
        DataError: If it can't be decoded, or isn't one number per pixel; names the path.
    """
    if label.format == "JPEG":
        raise _no_label_map(path, "a JPEG, which keeps no ids", "write a PNG of the ids, from what the JPEG was made of")
    try:
        if label.mode in INDEX_MODES:
            return label.histogram()
        numbers = _numbers(label, path)
    except BROKEN as error:
        raise undecodable(str(path), error) from None
    values, counts = np.unique(numbers, return_counts=True)
    if values[0] < 0 or values[-1] > np.iinfo(np.uint16).max:
        raise _no_label_map(path, f"the number {values[0] if values[0] < 0 else values[-1]}")
    return np.bincount(values, counts, minlength=LABEL_IDS).astype(np.int64).tolist()


def _numbers(label: Image.Image, path: Path) -> NDArray[np.int64]:
    if label.mode in ONE_CHANNEL:
        return np.asarray(label).astype(np.int64)
    if label.mode not in GREY_MODES:
        raise _no_label_map(path, f"a picture of mode {label.mode}", "write whole numbers, as a PNG of 8 or 16 bits")
    channels = np.asarray(label).astype(np.int64)
    has_alpha = label.mode.endswith("A")
    if has_alpha and (channels[..., -1] != OPAQUE).any():
        raise _no_label_map(path, f"a picture of mode {label.mode}, not opaque everywhere")
    colours = channels[..., :-1] if has_alpha else channels
    if (colours != colours[..., :1]).any():
        raise _no_label_map(path, f"a picture of mode {label.mode}, in colours")
    return colours[..., 0]


def _no_label_map(path: Path, seen: str, fix: str = COLOURS) -> DataError:
    return DataError(f"{path} is not a label map", seen=seen, allowed="one training id per pixel, 0 to 255", fix=fix)
