"""What the writers share: the scene to write, and the encoded pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2

from transfer.shapes.scenes import Scene
from transfer.shapes.surfaces import Image

JPEG_QUALITY = 95
"""Quality of every JPEG, of 100."""
PNG_EFFORT = 1
"""Compression effort, of 9: noise hardly compresses, and label maps do at any effort."""


@dataclass(frozen=True)
class Sample:
    """A scene to write."""

    split: str
    """`train` or `val`."""
    index: int
    """Index within the split, from 0."""
    scene: Scene
    """The scene and its annotation."""
    jpeg: bytes
    """The encoded picture, the same in all layouts that use JPEG."""


class Writer(Protocol):
    """The interface of what writes one layout."""

    def add(self, sample: Sample) -> None:
        """Write the files of one scene."""

    def finish(self) -> None:
        """Write the files about all scenes."""


def jpeg(image: Image) -> bytes:
    """Encode a picture, H×W×3 in BGR, as JPEG."""
    return _encoded(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def png(image: Image) -> bytes:
    """Encode a picture, H×W×3 in BGR, or a map, H×W, as PNG."""
    return _encoded(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT])


def _encoded(kind: str, image: Image, options: list[int]) -> bytes:
    done, buffer = cv2.imencode(kind, image, options)
    assert done, f"OpenCV has no encoder for {kind}"
    return buffer.tobytes()


def write(path: Path, content: bytes) -> None:
    """Write a file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
