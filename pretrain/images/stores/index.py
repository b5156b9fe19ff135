"""The index of a large folder of images: names, sizes and fingerprint in the cache folder, so that no start lists all again.

It stands while no folder that was listed has changed. What no folder tells is a file that was overwritten in place: some files
are looked at again at every start, and all of them within `renewed`.
"""

import contextlib
import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pretrain.core import arrays, launcher, waits
from pretrain.core.cachefolder import cache_folder
from pretrain.core.errors import BenchError
from pretrain.core.turns import turn
from pretrain.images.compact import Texts
from pretrain.images.fingerprint import fingerprint
from pretrain.images.stores import SUFFIXES, UNKNOWN
from pretrain.images.stores.walk import Stamp, size
from pretrain.images.unread import Unread

FORMAT = "v1"
"""Version of the file; part of its name."""
WORTH = 10_000
"""Images from which on an index is kept: fewer are listed in a fraction of a second."""
SAMPLED = 256
"""Files that are looked at again at every start."""

_renewing: ContextVar[bool] = ContextVar("_renewing", default=False)


@dataclass(frozen=True)
class Part:
    """A folder with all below it."""

    names: Texts
    """Its images, sorted: paths below the root."""
    unread: Unread
    """What else was seen."""
    stamps: list[Stamp]
    """All folders that were listed."""
    sizes: np.ndarray | None = None
    """(N,) int64, bytes of each image; None: not looked at yet."""
    made: str = ""
    """Day on which they were looked at."""


@dataclass(frozen=True)
class Contents:
    """The images of some folders."""

    names: Texts
    """Paths below the root, in the order of the folders, then by name."""
    unread: Unread
    """What else was seen."""
    sizes: np.ndarray | None = None
    """(N,) int64, bytes of each; None: nobody has looked yet."""
    fingerprint: str = ""
    """Fingerprint of names and sizes; empty: not computed yet."""


@contextlib.contextmanager
def renewed(wanted: bool = True) -> Iterator[None]:
    """List all folders and look at all files within the block, whatever an index says, if `wanted`.

    A process that another one of ours has started takes the index that this one has just renewed.
    """
    token = _renewing.set((wanted and not launcher.checked()) or _renewing.get())
    try:
        yield
    finally:
        _renewing.reset(token)


def contents(root: Path, folders: Sequence[str], listed: Callable[[str], Part], *, before: str = "") -> Contents:
    """Return the images of some folders: from the index as far as it stands, else listed.

    Args:
        root: What holds the folders.
        folders: Their names, in order.
        listed: Lists one; may raise a DataError.
        before: What the images' names begin with that is no folder, in the fingerprint.
    """
    path = _path(root, folders)
    known = None if _renewing.get() else _Index.of(path, root)
    if known is not None and known.stands():
        return known.contents()
    parts = _Parts()
    for folder in folders:
        part = None if known is None else known.part(folder)
        parts.add(folder, listed(folder) if part is None else part)
    if parts.count < WORTH:
        return Contents(parts.names(), parts.unread)
    with turn(path):
        if not _renewing.get() and (made := _Index.of(path, root)) is not None and made.stands():
            return made.contents()  # another process was faster
        return _made(path, root, parts, before)


def _path(root: Path, folders: Sequence[str]) -> Path:
    read = sorted(SUFFIXES)  # a release that reads more files lists all again
    which = hashlib.sha256("\0".join([os.path.realpath(root), *read, *folders]).encode(errors="surrogateescape")).hexdigest()[
        :16
    ]
    return cache_folder() / f"index-{which}.{FORMAT}"


class _Sizes(NamedTuple):
    images: int
    sizes: np.ndarray | None


class _Parts:
    """Parts put together."""

    def __init__(self) -> None:
        self.count, self.unread, self.made, self.new = 0, Unread(), time.strftime("%Y-%m-%d"), True
        self.described: list[dict[str, Any]] = []
        self._data, self._ends, self._sizes = bytearray(), [np.zeros(0, np.int64)], list[_Sizes]()

    def add(self, folder: str, part: Part) -> None:
        """Append a folder."""
        self._ends.append(part.names.ends + len(self._data))
        self._data += part.names.data.data
        self._sizes.append(_Sizes(len(part.names), part.sizes))
        self.made, self.new = min(self.made, part.made or self.made), self.new and not part.made
        self.count += len(part.names)
        self.unread.circular += part.unread.circular
        self.unread.endings.update(part.unread.endings)
        self.described.append(
            {
                "folder": folder,
                "images": len(part.names),
                "circular": part.unread.circular,
                "endings": part.unread.endings,
                "stamps": part.stamps,
            }
        )

    def names(self) -> Texts:
        """Return all names."""
        self._ends = [np.concatenate(self._ends)]
        return Texts(np.frombuffer(self._data, np.uint8), self._ends[0])

    def sizes(self, root: Path) -> np.ndarray:
        """Return all sizes (N,) int64; looks at the files whose size isn't known."""
        found, place, names = [np.zeros(0, np.int64)], 0, self.names()
        for known, group in groupby(self._sizes, lambda part: part.sizes is not None):
            parts = list(group)
            count = sum(part.images for part in parts)
            new = () if known else (looked_at(root, names.between(place, place + count)),)
            found += [*new, *(part.sizes for part in parts if part.sizes is not None)]
            place += count
        return np.concatenate(found)


def looked_at(root: Path, names: Iterable[str]) -> np.ndarray:
    """Look at the size of each file, in bytes: (N,) int64."""
    try:
        above = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return np.array([UNKNOWN for _ in names], np.int64)
    try:
        return np.fromiter(waits.results(partial(size, above), names), np.int64)
    finally:
        os.close(above)


def _made(path: Path, root: Path, parts: _Parts, before: str) -> Contents:
    """Write the index, and return what it holds; where it can't be written, from memory."""
    sizes, names = parts.sizes(root), parts.names()
    digest = fingerprint(names.beginning(before), sizes.tolist())
    head = {"root": os.path.realpath(root), "made": parts.made, "fingerprint": digest, "parts": parts.described}
    try:
        arrays.write(path, head, {"names": names.data, "ends": names.ends, "sizes": sizes})
    except (BenchError, OSError):  # a cache that can't be written costs a listing at every start, and no run
        return Contents(names, parts.unread, sizes, digest)
    written = _Index.of(path, root)
    return Contents(names, parts.unread, sizes, digest) if written is None else written.contents(new=parts.new)


class _Index:
    """An index as it was written."""

    def __init__(self, root: Path, head: dict[str, Any], found: dict[str, np.ndarray]) -> None:
        self.root, self.made, self.fingerprint = root, str(head["made"]), str(head["fingerprint"])
        self.names, self.sizes = Texts(found["names"], found["ends"]), found["sizes"]
        self._parts: dict[str, Part] = {}
        place = 0
        for its in head["parts"]:
            unread = Unread(endings=Counter(its["endings"]), circular=int(its["circular"]))
            names = self.names.between(place, place + int(its["images"]))
            sizes = self.sizes[place : place + len(names)]
            self._parts[its["folder"]] = Part(names, unread, [Stamp(*each) for each in its["stamps"]], sizes, self.made)
            place += len(names)

    @classmethod
    def of(cls, path: Path, root: Path) -> "_Index | None":
        """Open an index; None if there is none of this folder, or some of its files have other sizes."""
        found = arrays.opened(path)
        try:
            index = None if found is None or found.head["root"] != os.path.realpath(root) else cls(root, *found)
        except (LookupError, TypeError, ValueError):
            return None
        return index if index is not None and index._as_sampled() else None

    def stands(self) -> bool:
        """Return whether no folder has changed."""
        stamps = [stamp for part in self._parts.values() for stamp in part.stamps]
        return all(waits.results(partial(Stamp.holds, root=self.root), stamps))

    def part(self, folder: str) -> Part | None:
        """Return what is known of a folder, if neither it nor any below has changed."""
        part = self._parts.get(folder)
        return part if part is not None and all(stamp.holds(self.root) for stamp in part.stamps) else None

    def contents(self, *, new: bool = False) -> Contents:
        """Return all images; says of which day the index is, unless it is new."""
        unread = Unread()
        for part in self._parts.values():
            unread.circular += part.unread.circular
            unread.endings.update(part.unread.endings)
        if not new:
            unread.remarks.append(f"names and sizes of {len(self.names):,} images are those of an index of {self.made}")
        return Contents(self.names, unread, self.sizes, self.fingerprint)

    def _as_sampled(self) -> bool:
        """Look at some files again, others on each day."""
        drawn = random.Random(f"{self.fingerprint} {time.time() // 86400:.0f}")
        chosen = sorted(drawn.sample(range(len(self.names)), min(SAMPLED, len(self.names))))
        return bool(np.array_equal(looked_at(self.root, self.names.part(chosen)), self.sizes[chosen]))
