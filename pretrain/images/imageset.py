"""The images of one split: their names, classes and bytes, whatever they lie in."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from pretrain.core.errors import DataError, GoneError
from pretrain.images.decode import Picture, undecodable, unreadable
from pretrain.images.listing import Choice, list_split
from pretrain.images.stores import SUFFIXES, UNLABELLED, UNREADABLE, Members


@dataclass(frozen=True)
class ImageSet:
    """The images of one split and their classes. Holds names, not pixels."""

    root: Path
    """A folder, or an archive."""
    classes: tuple[str, ...]
    """Their names, sorted; the index is the label."""
    names: tuple[str, ...]
    """`class folder/image` below the root, sorted by class folder, then by name."""
    labels: tuple[int, ...]
    """Label of each image."""
    members: Members
    """The same images, to be read."""
    folders: int = 0
    """Number of class folders there are, including those that weren't asked for."""
    notes: tuple[str, ...] = ()
    """What was seen beside the images and is not read."""

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
        names = tuple(self.names[index] for index in indices)
        labels = tuple(self.labels[index] for index in indices)
        return replace(self, names=names, labels=labels, members=self.members.part(indices))

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
        return self._fingerprints[labels]

    @cached_property
    def _fingerprints(self) -> tuple[str, str]:
        """Fingerprints without and with labels, from one look at every file."""
        without, with_labels = hashlib.sha256(), hashlib.sha256()
        for name, size, label in zip(self.names, self.members.sizes(), self.labels, strict=True):
            given = self.classes[label]
            relabelled = "" if name.startswith(f"{given}/") else f":{given}"
            without.update(f"{name}:{size}\n".encode())
            with_labels.update(f"{name}:{size}{relabelled}\n".encode())
        return without.hexdigest()[:16], with_labels.hexdigest()[:16]


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
    _require_names(listing.names, listing.source)
    label = {cls: index for index, cls in enumerate(listing.wanted)}
    labels = tuple(label[name.split("/", 1)[0]] for name in listing.names)
    empty = sorted(set(label.values()) - set(labels))
    if empty or not labels:
        where = listing.source / listing.inner / listing.wanted[empty[0]] if empty else listing.source
        raise DataError(
            f"no images in the class folder {where}",
            seen=f"{len(label)} class folders, {len(labels)} images",
            allowed=f"files ending in {', '.join(sorted(SUFFIXES))} in every class folder",
            fix="remove the empty folder, or put that class's images into it",
        )
    wanted, names = tuple(listing.wanted), tuple(listing.names)
    return ImageSet(listing.source, wanted, names, labels, listing.members, len(listing.found), listing.notes)


def _require_names(names: list[str], source: Path) -> None:
    """Refuse names that a list with one name per line couldn't hold: bytes other than UTF-8, or line breaks."""
    joined = "\0".join(names)
    try:
        joined.encode()
        broken = len(joined.splitlines()) > 1
    except UnicodeEncodeError:
        broken = True
    if broken:
        wrong = next(name for name in names if len(name.splitlines()) > 1 or name != name.encode(errors="replace").decode())
        raise DataError(f"an image in {source} has a name that is no line of text", seen=repr(wrong), fix="rename that file")


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
