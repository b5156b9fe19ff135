"""One of COCO's annotation files, checked entry by entry and stored as columns of numbers."""

from array import array
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from pretrain.core.errors import DataError
from transfer.datasets import Tell, cocomasks, shown
from transfer.datasets.flags import flag
from transfer.datasets.objects import FARTHEST, LONGEST_SIDE, Mask
from transfer.datasets.remarks import Dropped as Dropped
from transfer.datasets.remarks import Remarks

LARGEST_ID = 2**63 - 1
"""What an id can be in 64 bits."""
EXACT = 2**53
"""Up to here every integer is a floating-point number of its own."""
LARGEST_AREA = 1e10
"""Square pixels: the largest area of COCO's metric."""
BOX, AREA = slice(4), 4
"""Columns of the measures: x, y, width, height; area."""


class Image(NamedTuple):
    """An entry of `images`."""

    name: str
    width: int
    """Pixels; 0: the file doesn't say."""
    height: int
    """Pixels; 0: the file doesn't say."""
    entry: int
    """Index in the list, from 0."""
    by_url: bool
    """Whether the name is that of its address, as in LVIS, and not its own."""


class CocoFile:
    """The images, annotations and categories of one file. Annotations' ids are ignored: the metric numbers them itself."""

    def __init__(self, path: Path, dropped: Dropped, remarks: Remarks, *, masks: bool = True) -> None:
        """Begin empty; `masks`: whether the objects' masks are read."""
        self.path, self._dropped, self.remarks, self.with_masks = path, dropped, remarks, masks
        self.images: dict[int, Image] = {}
        """Images by their ids."""
        self.categories: dict[int, str] = {}
        """Categories' names by their ids."""
        # Ids in the file, with the index of their entry: also of entries that are refused, whose objects aren't wrong by that.
        self._image_ids, self._category_ids = dict[int, int](), dict[int, int]()
        # Columns with one row for each object: index of its entry, ids of its image and category, …
        self.entries, self.images_of, self.categories_of = array("q"), array("q"), array("q")
        self.crowd, self.masks = array("b"), list[Mask | None]()
        self._measures = array("d")

    def add_image(self, index: int, entry: Mapping[str, Any]) -> None:
        """Check and store an entry of `images`.

        Raises:
            DataError: If it is wrong; names it.
        """
        where = f"images[{index}] in {self.path}"
        identity = self._integer(entry, "id", where)
        if identity in self._image_ids:
            raise DataError(f"{where} has the id {identity} of images[{self._image_ids[identity]}]", allowed="different ids")
        self._image_ids[identity] = index
        by_url = _base(entry.get("coco_url")) if entry.get("file_name") is None else None
        name = by_url or _text(entry, "file_name", where)
        sides = [self._integer(entry, side, where, least=0, most=LONGEST_SIDE, absent=0) for side in ("width", "height")]
        self.images[identity] = Image(name, sides[0], sides[1], index, by_url is not None)

    def add_category(self, index: int, entry: Mapping[str, Any]) -> None:
        """Check and store an entry of `categories`.

        Raises:
            DataError: If it is wrong; names it.
        """
        where = f"categories[{index}] in {self.path}"
        identity = self._integer(entry, "id", where)
        if identity in self._category_ids:
            raise DataError(
                f"{self.path} must hold each category once", seen=f"categories[{index}] has the id {identity} again"
            )
        self._category_ids[identity] = index
        if isinstance(number := entry.get("name"), int) and not isinstance(number, bool):
            self.remarks.add("categories whose name is a number", where)
            entry = {**entry, "name": str(number)}
        self.categories[identity] = _text(entry, "name", where)

    def add_annotation(self, index: int, entry: Mapping[str, Any]) -> None:
        """Check and store an entry of `annotations`, unless it is an object to leave out.

        Raises:
            DataError: If it is wrong; names it.
        """
        where = f"annotations[{index}] in {self.path}"
        image, category = self._integer(entry, "image_id", where), self._integer(entry, "category_id", where)
        boxed, crowd = entry.get("bbox") not in (None, []), _crowd(entry, where)
        mask = _mask(entry, where) if self.with_masks or not boxed else None
        box = _box(entry, where) if boxed or mask is None else self._extent(mask, index)
        if box[2] <= 0 or box[3] <= 0:
            self._dropped.add("boxes without area", f"annotations[{index}] in {self.path.name}")
            return
        area = _number(entry, "area", where, least=0, most=LARGEST_AREA, absent=box[2] * box[3])
        if self.with_masks:
            self.masks.append(mask)
        self.entries.append(index)
        self.images_of.append(image)
        self.categories_of.append(category)
        self.crowd.append(crowd)
        self._measures.extend((*box, area))

    def check_references(self, tell: Tell) -> None:
        """Check that there is a category, and that the image and the category of every object are in the file.

        Objects that fail are reported to `tell`, and `by_image` leaves them out.

        Raises:
            DataError: If there is no category.
        """
        if not self._category_ids:
            raise DataError(f"{self.path} must hold each category once", seen="no category")
        for name, column, known in (
            ("image_id", self.images_of, self._image_ids),
            ("category_id", self.categories_of, self._category_ids),
        ):
            missing = ~np.isin(np.frombuffer(column, dtype=np.int64), np.fromiter(known, dtype=np.int64, count=len(known)))
            for row in np.flatnonzero(missing):
                where = f"annotations[{self.entries[row]}] in {self.path}"
                tell(DataError(f"{where} has an {name} {column[row]} that is not in the file", fix="repair the file"))

    def by_image(self, categories: Container[int]) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield the images' ids, ascending, each with the rows of its objects of these categories, in the file's order."""
        images = np.frombuffer(self.images_of, dtype=np.int64)
        order = np.argsort(images, kind="stable")
        inside = images[order]
        for identity in sorted(self.images):
            first, end = np.searchsorted(inside, identity), np.searchsorted(inside, identity, side="right")
            rows = order[first:end].tolist()
            yield identity, [row for row in rows if self.categories_of[row] in categories]

    def named_categories(self) -> dict[int, str]:
        """Return category id → name, by ascending id."""
        return dict(sorted(self.categories.items()))

    def measures_of(self, row: int) -> Sequence[float]:
        """Return x, y, width, height and area of an object, in pixels."""
        return self._measures[row * (AREA + 1) : (row + 1) * (AREA + 1)]

    def _extent(self, mask: Mask, index: int) -> list[float]:
        """Return the box around a mask, for an object that has none of its own."""
        self.remarks.add("boxes computed from their masks", f"annotations[{index}] in {self.path.name}")
        return cocomasks.extent(mask)

    def _integer(
        self,
        entry: Mapping[str, Any],
        name: str,
        where: str,
        *,
        least: int = -LARGEST_ID,
        most: int = LARGEST_ID,
        absent: int | None = None,
    ) -> int:
        """Return a whole number, also one written with a point; `absent` for null, too."""
        value = entry.get(name)
        if value is None:
            value = absent
        if isinstance(value, float) and abs(value) <= EXACT and value.is_integer():
            self.remarks.add("whole numbers written with a point, such as 1.0", f"{name!r} of {where}")
            value = int(value)
        if not isinstance(value, int) or not least <= value <= most or isinstance(value, bool):
            allowed = "an integer" if most == LARGEST_ID else f"an integer, {least} to {most}"
            raise DataError(f"{where} has no valid {name!r}", seen=shown(value), allowed=allowed, fix=_anew(value))
        return value


def _anew(value: object) -> str | None:
    """Say what to do about text in the place of a number, which other tools' exports have."""
    return "write numbers, or the whole file anew: `bench data arrange` reads text" if isinstance(value, str) else None


def _number(entry: Mapping[str, Any], name: str, where: str, *, least: float, most: float, absent: float) -> float:
    value = absent if entry.get(name) is None else entry[name]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        raise DataError(
            f"{where} has no valid {name!r}", seen=shown(value), allowed=f"a number, {least:g} to {most:g}", fix=_anew(value)
        )
    return float(value)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    # A lone surrogate, which JSON can express, is no character and can't be written to a file.
    if not isinstance(value, str) or not value.strip() or any("\ud800" <= character <= "\udfff" for character in value):
        raise DataError(f"{where} has no valid {name!r}", seen=shown(value), allowed="text")
    return value


def _base(url: object) -> str | None:
    """Return the last part of an address's path; None if it is none."""
    try:
        return urlsplit(url).path.rpartition("/")[2] or None if isinstance(url, str) else None
    except ValueError:
        return None


def _crowd(entry: Mapping[str, Any], where: str) -> bool:
    crowd = flag(entry.get("iscrowd"))
    if crowd is None:
        raise DataError(f"{where} has no valid 'iscrowd'", seen=shown(entry["iscrowd"]), allowed="0 or 1")
    return crowd


def _mask(entry: Mapping[str, Any], where: str) -> Mask | None:
    try:
        return cocomasks.usable(entry.get("segmentation"))
    except ValueError as error:
        raise DataError(f"{where} has no valid 'segmentation'", seen=error) from None


def _box(entry: Mapping[str, Any], where: str) -> list[float]:
    box = entry.get("bbox")
    right = (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= FARTHEST for value in box)
    )
    if not isinstance(box, list) or not right:
        allowed = f"[x, y, width, height] in pixels, each at most {FARTHEST:,.0f}"
        raise DataError(f"{where} has no valid 'bbox'", seen=shown(box), allowed=allowed)
    return [float(value) for value in box]
