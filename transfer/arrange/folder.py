"""All files of an export, and which image a name in its annotations means."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, unquote

from pretrain.core.errors import DataError
from pretrain.images.stores import SUFFIXES
from transfer.arrange.glance import JUNK
from transfer.arrange.values import lines_of

TRAIN, VAL, TEST = "train", "val", "test"
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "train2014", "train2017", "trainval"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "val2014", "val2017"), VAL),
    **dict.fromkeys(("test", "testing", "test2017"), TEST),
}
"""What tools call the splits, in lower case."""


class Folder:
    """The files below a folder, by their paths below it; hidden ones are passed over, links are followed once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = sorted(_walked(root))
        self.images = [path for path in self.files if os.path.splitext(path)[1].lower() in SUFFIXES]
        """Those with an image's ending."""
        self._known = set(self.files)
        self._by_name: dict[str, list[str]] = {}
        for path in self.images:
            self._by_name.setdefault(_plain(path.rpartition("/")[2]), []).append(path)

    def path(self, below: str) -> Path:
        """Return where a file is."""
        return self.root / below

    def ending(self, suffix: str, below: str = "") -> list[str]:
        """List the files with an ending, in a folder and below it."""
        start = f"{below}/" if below else ""
        return [path for path in self.files if path.lower().endswith(suffix) and path.startswith(start)]

    def has(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return path in self._known

    def image(self, name: str, near: str = "") -> str | None:
        """Find the image that an annotation in the folder `near` names; None if there is none.

        A path is looked for from there, from `images/` and from the export's folder; then the one image of its base name
        counts, whatever its folder, upper or lower case, its form in Unicode, %20 or its ending. Of an address its query
        counts for nothing, except Label Studio's `?d=PATH`.

        Raises:
            DataError: If several images fit.
        """
        found = self._image(name, near)
        return self._image(path_in(name), near) if found is None and "?" in name else found

    def _image(self, name: str, near: str) -> str | None:
        written = unquote(name).replace("\\", "/")
        for each in (name, written):
            for base in dict.fromkeys((near, f"{near}/images", "images", "")):
                path = os.path.normpath(f"{base}/{each}" if base else each)
                if path in self._known:
                    return path
        base = written.rpartition("/")[2]
        found = self._by_name.get(_plain(base), []) or [
            each for suffix in SUFFIXES for each in self._by_name.get(_plain(base + suffix), [])
        ]
        found = _nearest(found, os.path.dirname(os.path.normpath(f"{near}/{written}")))
        if len(found) > 1 and near:  # a path or an address of elsewhere, whose last part lies in several splits
            found = [each for each in found if os.path.dirname(each) in (near, f"{near}/images")] or found
        if len(found) > 1:
            raise DataError(
                f"several images fit the name {name!r}", seen=", ".join(found[:3]), fix="leave one of them in the export"
            )
        return found[0] if found else None

    def beside(self, image: str, suffix: str, *, places: tuple[tuple[str, str], ...] = ()) -> list[str]:
        """List the files of an image's stem with another ending: beside it, and in the folder that takes another's place.

        Where none has exactly that name, upper and lower case are the same.

        Args:
            image: Path of the image.
            suffix: The ending, such as `.txt`.
            places: Pairs of folders' names in lower case, such as `("images", "labels")`: the last of the first becomes the
                second.
        """
        stem = os.path.splitext(image)[0]
        parts, lower = stem.split("/"), stem.lower().split("/")
        candidates = [stem + suffix]
        for old, new in places:
            if old in lower[:-1]:
                at = len(parts) - 2 - lower[-2::-1].index(old)
                candidates.append("/".join([*parts[:at], new, *parts[at + 1 :]]) + suffix)
        exact = [each for each in candidates if each in self._known]
        return exact or [path for each in candidates for path in self._by_form.get(_plain(each), ())]

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self.files:
            found.setdefault(_plain(path), []).append(path)
        return found


def path_in(address: str) -> str:
    """Return the path in an address, without its query, or the path that Label Studio's `?d=PATH` names."""
    path, _, query = address.partition("?")
    return parse_qs(query).get("d", [path])[0]


def split_of(path: str) -> str | None:
    """Tell which split a file belongs to: what the nearest of its folders says; None: none says it."""
    folders = path.lower().split("/")[:-1]
    return next((SPLIT_NAMES[part] for part in reversed(folders) if part in SPLIT_NAMES), None)


def words_split(path: str) -> str | None:
    """Tell which split a file belongs to by the words of its own name, or of the nearest folder's; None: none says it."""
    for part in reversed(os.path.splitext(path)[0].lower().split("/")):
        found = {SPLIT_NAMES[word] for word in re.split(r"[_\-.\s]+", part) if word in SPLIT_NAMES}
        if len(found) == 1:
            return found.pop()
    return None


def _walked(root: Path) -> Iterator[str]:
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True, onerror=_unreadable):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in JUNK)
        at = os.path.relpath(folder, root)
        yield from (name if at == "." else f"{at}/{name}" for name in names if not name.startswith("."))


def _unreadable(error: OSError) -> None:
    raise DataError(f"can't list the folder {error.filename}", seen=error.strerror, fix="make it readable") from None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _nearest(found: list[str], folder: str) -> list[str]:
    """Keep the paths whose folders have the most in common with a folder, counted from the end."""
    if len(found) < 2:
        return found
    wanted = folder.split("/")[::-1]

    def common(path: str) -> int:
        parts = path.split("/")[-2::-1]
        return next(
            (at for at, (one, two) in enumerate(zip(parts, wanted, strict=False)) if one != two), min(len(parts), len(wanted))
        )

    most = max(map(common, found))
    return [path for path in found if common(path) == most]


def one_of(folder: Folder, paths: Sequence[str]) -> tuple[str, list[str]]:
    """Read the text file of an image's objects; several must be equal. Returns the first's path, and its lines.

    Raises:
        DataError: If they differ.
    """
    first, *others = (lines_of(folder.path(path)) for path in paths)
    other = next((path for path, lines in zip(paths[1:], others, strict=True) if lines != first), None)
    if other is not None:
        raise DataError(
            "two text files name the objects of one image, and differ",
            seen=f"{folder.path(paths[0])} and {folder.path(other)}",
            allowed="one, or two that are equal",
            fix="remove the one that is out of date",
        )
    return paths[0], first
