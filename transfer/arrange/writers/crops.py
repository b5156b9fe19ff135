"""Objects as an image folder: `SPLIT/CLASS/` with a crop of each, so that what has boxes can be classified, too."""

import math
from collections import Counter
from pathlib import Path

from pretrain.core.errors import DataError
from transfer.arrange.items import Box, Export
from transfer.arrange.naming import file_names
from transfer.arrange.placing import Place
from transfer.arrange.writers.imagefolder import check_folders
from transfer.datasets.objects import read_annotated

HOLDS = ("objects",)
ROUNDING = 0.01
"""Pixels by which a corner may miss its pixel's edge: numbers of six digits, as shares of an image, do."""
LEAST = 2
"""Pixels of a crop's shorter side: what is smaller has no picture."""


def write(export: Export, root: Path, target: Path, place: Place) -> list[str]:
    """Write both splits; all crops of an image are in its split.

    Raises:
        DataError: If a class can't be the name of a folder; if an image can't be read or has another size than annotated.
    """
    names, left, made = file_names(item.image for item in export.items), Counter[str](), Counter[str]()
    check_folders(export.classes)
    for item in export.items:
        assert item.size is not None, "objects come with their image's size"
        image = read_annotated(root / item.image, item.size)
        for number, thing in enumerate(item.things):
            corners = _inside(thing.box, image.size)
            if thing.crowd or thing.difficult:
                left["crowd regions" if thing.crowd else "difficult objects"] += 1
            elif min(corners[2] - corners[0], corners[3] - corners[1]) < LEAST:
                left[f"objects of less than {LEAST} pixels"] += 1
            else:
                path = target / str(item.split) / thing.name / f"{names[item.image]}_{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.crop(corners).save(path)
                made[thing.name] += 1
        place.count()
    if not made:
        raise DataError("no object can be cut out", seen=_said(left) or f"{len(export.items)} images without objects")
    return [f"{_said(left)} left out"] * bool(left)


def _said(left: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in left.items())


def _inside(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return whole pixels around a box, inside the image."""
    left, top = (max(math.floor(value + ROUNDING), 0) for value in box[:2])
    right, bottom = (min(math.ceil(value - ROUNDING), side) for value, side in zip(box[2:], size, strict=True))
    return left, top, right, bottom
