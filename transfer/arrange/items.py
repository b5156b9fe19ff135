"""What every format is read into, and every layout is written from: images with what an export says of each.

Boxes are (left, top, right, bottom) in continuous pixels, as in `transfer.datasets.objects`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from transfer.datasets.cocofile import Dropped
from transfer.datasets.objects import Mask

Holds = Literal["objects", "maps", "classes"]
"""What an export says of its images: objects with boxes or masks, a label map, or one class."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """An object in an image."""

    name: str
    """Its class."""
    box: Box
    mask: Mask | None = None
    """Polygons or a compressed run-length encoding; None: the export has its box alone."""
    crowd: bool = False
    """COCO's crowd regions."""
    difficult: bool = False
    """VOC's difficult objects."""
    area: float | None = None
    """Square pixels, where the export says so."""


@dataclass(frozen=True)
class Item:
    """An image of an export and what is said of it."""

    image: str
    """Path below the export's folder."""
    size: tuple[int, int] | None = None
    """Width and height in pixels; None: nobody asked."""
    split: str | None = None
    """train, val or test; None: the export doesn't say."""
    things: tuple[Thing, ...] = ()
    """Its objects."""
    label_map: str | None = None
    """Path of its label map below the export's folder."""
    label: str | None = None
    """Its class."""


@dataclass(frozen=True)
class Export:
    """What another tool's export says."""

    holds: Holds
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    """Names of the classes, in the order of their numbers."""
    dropped: Dropped = field(default_factory=Dropped)
    """What can't be carried, counted."""
    notes: tuple[str, ...] = ()
    """Remarks for the user."""
    ids: Callable[[Path], NDArray[np.uint8]] | None = None
    """Reads a label map into numbers of classes (H, W), 255 for ignored pixels."""


@dataclass(frozen=True)
class Links:
    """An export that is one of the layouts under other names: links alone make it."""

    layout: str
    links: Mapping[str, Path]
    """Path below the new folder → file or folder that it stands for."""
    notes: tuple[str, ...] = ()
