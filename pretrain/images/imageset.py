"""The images of one split: their names, classes and bytes, whatever they lie in."""

import os
import shlex
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from pretrain.core.errors import DataError, GoneError
from pretrain.core.layout import contents, contents_of
from pretrain.core.texts import escaped
from pretrain.images.compact import Numbers, Texts
from pretrain.images.decode import Picture, undecodable, unreadable
from pretrain.images.fingerprint import fingerprint
from pretrain.images.listing import Choice, Listing, list_split
from pretrain.images.stores import SUFFIXES, UNLABELLED, UNREADABLE, Members, zips


@dataclass(frozen=True)
class ImageSet:
    """The images of one split and their classes. Holds names, not pixels."""

    root: Path
    """A folder, or an archive."""
    classes: tuple[str, ...]
    """Their names, sorted; the index is the label."""
    names: Texts
    """`class folder/image` below the root, sorted by class folder, then by name."""
    labels: Numbers
    """Label of each image."""
    members: Members
    """The same images, to be read."""
    folders: int = 0
    """Number of class folders there are, including those that weren't asked for."""
    notes: tuple[str, ...] = ()
    """What was seen beside the images and is not read."""
    known: str = ""
    """Fingerprint of names and sizes, where an index has it."""
    mapped: bool = False
    """Whether a label map gave the labels, so that they may differ from the folders' names."""

    def __post_init__(self) -> None:
        assert len(self.members) == len(self.names) == len(self.labels), "use `part` to take some of the images"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_classes(self) -> bool:
        """Whether the images have classes, or are merely images."""
        return self.classes != (UNLABELLED,)

    def part(self, indices: Sequence[int]) -> "ImageSet":
        """Select images by their indices; the classes stay the same."""
        names, labels, members = self.names.part(indices), self.labels.part(indices), self.members.part(indices)
        return replace(self, names=names, labels=labels, members=members, known="")

    def picture(self, index: int) -> Picture:
        """Read one file and its header, without decoding the pixels.

        Raises:
            DataError: If the file can't be read or isn't an image; names it.
            GoneError: If it, or the archive, is gone.
        """
        name, source = self.names[index], self.members.source(index)
        try:
            data = self.members.read(index)
        except UNREADABLE as error:
            raise _unreadable(source, name, error) from None
        return Picture(data, f"{name} in {source}")

    def open(self, index: int) -> Image.Image:
        """Decode one image, as RGB.

        Raises:
            DataError: If it can't be decoded; names the file.
        """
        return self.picture(index).rgb()

    def fingerprint(self, *, labels: bool = True) -> str:
        """Identify the images by 16 hex digits, whatever folder or archive they lie in; computed once per set.

        The digest covers names and file sizes and, with `labels`, every label that isn't the name of the image's folder.
        """
        return self._labelled if labels and self.mapped else self._plain

    @cached_property
    def _plain(self) -> str:
        return self.known or fingerprint(self.names, self.members.sizes())

    @cached_property
    def _labelled(self) -> str:
        return fingerprint(self.names, self.members.sizes(), map(self.classes.__getitem__, self.labels))


def read(root: Path, split: str, classes: Choice = None, *, labelled: bool = False) -> ImageSet:
    """Read which images there are of a split.

    Args:
        root: Folder of the splits, which may each be whatever `pretrain.images.stores` reads.
        split: `train` or `val`.
        classes: Class folders to read, or a function that chooses them from all names; None: all. No other is looked into.
        labelled: Whether images without classes are refused, not read as one class `UNLABELLED`; `classes` implies it.

    Raises:
        DataError: If the split is missing, a class that was asked for is missing, a class folder is empty, or the images
            have no classes and some are asked for.
    """
    listing = list_split(root, split, classes, labelled=labelled)
    _require_names(listing)
    counts = _counts(listing.names, listing.wanted)
    if 0 in counts or not counts:
        raise _empty(listing, counts)
    names = listing.names if isinstance(listing.names, Texts) else Texts.of(listing.names)
    labels = Numbers(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    wanted, folders = tuple(listing.wanted), len(listing.found)
    return ImageSet(listing.source, wanted, names, labels, listing.members, folders, listing.notes, listing.fingerprint)


def _empty(listing: Listing, counts: Sequence[int]) -> DataError:
    """Build the error for a class folder without an image, or a split without a class folder; says what is there instead."""
    inside = listing.wanted[counts.index(0)] if counts else ""
    where = listing.source / listing.inner / inside
    there = contents(where) if where.is_dir() else zips.contents(listing.source, f"{listing.inner}{inside}")
    fix = "remove the empty folder, or put that class's images into it"
    return DataError(
        f"no images in {'the class folder ' if counts else ''}{where}",
        seen=f"{len(counts)} class folders, {len(listing.names)} images; there: {there}",
        allowed=f"files ending in {', '.join(sorted(SUFFIXES))} in every class folder",
        fix=fix if counts and there == contents_of([]) else "unpack or convert what is there, or name it as images are",
    )


def whole_fingerprint(root: Path) -> str:
    """Identify the training images of all classes by 16 hex digits, as `ImageSet.fingerprint` does; a class may be empty.

    Raises:
        DataError: If there are none.
    """
    listing = list_split(root, "train", None, labelled=True)
    return listing.fingerprint or fingerprint(listing.names, listing.members.sizes())


def _counts(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Count the images of each class, in names that are sorted by these classes."""
    rank = {cls: number for number, cls in enumerate(classes)}
    ends = [bisect_right(names, number, key=lambda name: rank[name.split("/", 1)[0]]) for number in range(len(classes))]
    return [end - start for start, end in pairwise([0, *ends])]


def _require_names(listing: Listing) -> None:
    """Refuse names that lists and records can't hold: of classes, bytes other than UTF-8; of images, line breaks."""
    odd = next((name for name in listing.wanted if name != escaped(name)), None)
    if odd is not None:
        raise DataError(
            f"a class folder in {listing.source} has a name that is no UTF-8",
            seen=repr(odd),
            allowed="classes in UTF-8; images may be called anything without a line break",
            fix=f"rename it; convmv -f latin1 -t utf8 -r --notest {shlex.quote(str(listing.source))} renames all that Western "
            "systems wrote (gbk, shift-jis: others)",
        )
    names = listing.names
    if names.are_lines() if isinstance(names, Texts) else len("\0".join(names).splitlines()) <= 1:
        return
    wrong = next(name for name in names if len(name.splitlines()) > 1)
    raise DataError(f"an image in {listing.source} has a name of several lines", seen=repr(wrong), fix="rename that file")


def _unreadable(source: Path, name: str, error: Exception) -> DataError:
    """Build the error for an image that can't be read; where its file is gone, the data may be, and no other image will do."""
    if not isinstance(error, OSError) or not error.errno:
        return undecodable(f"{name} in {source}", error)
    path = Path(os.fsdecode(error.filename)) if error.filename else source / name
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not path.is_symlink():
        return _gone(source, name, error)
    return unreadable(f"{name} in {source}", path, error)


def _gone(root: Path, name: str, error: OSError) -> GoneError:
    return GoneError(
        f"{name} in {root} is not there any more",
        seen=error.strerror if root.exists() else f"nothing: {root} is gone",
        allowed="the images that were there when the run began",
        fix="mount or restore the data, and give the same command again: it resumes from the last checkpoint",
    )
