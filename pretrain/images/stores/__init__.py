"""What the images of a split can lie in. Adding a kind is one module and one line of `STORES`.

Each module has `find(root, split)`, which returns a `Store`, or None where nothing of its kind is there.
"""

import importlib
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from pretrain.images.unread import Unread

STORES = ("truths", "folders", "zips", "tars", "parquets", "cifar", "idx", "npz")
"""The modules of this package, in the order in which they are asked for a split."""
SUFFIXES = frozenset(
    {*(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"), *(".jpe", ".jfif", ".pbm", ".pnm")}
)
"""Endings of image files, in lower case: those of torchvision's ImageFolder, and others of the same formats."""
UNLABELLED = "unlabelled"
"""The one class of images that have none: enough for runs that read no label."""
JUNK = frozenset({"__MACOSX"})
"""Folders that archivers add."""
LARGEST_IMAGE = 2**30
"""Bytes of an unpacked image at most: more than `pretrain.images.decode.MAX_PIXELS` take in any format."""
UNKNOWN = -1
"""Size of a file that can't be looked at."""
UNREADABLE = (OSError, zlib.error, OverflowError, MemoryError)
"""Exceptions that reading a member can raise."""


class Members(Protocol):
    """Images read by their index, at random. A loader worker inherits or receives them."""

    def __len__(self) -> int:
        """Return the number of images."""

    def part(self, indices: Sequence[int]) -> "Members":
        """Select images by their indices."""

    def sizes(self) -> Iterator[int]:
        """Yield the bytes of each image's file; `UNKNOWN` for one that can't be looked at, which can't be read either."""

    def read(self, index: int) -> bytes:
        """Read the file of one image. Several threads may read at once.

        Raises:
            Exception: One of `UNREADABLE`; `FileNotFoundError` or `NotADirectoryError` if it, or what it lies in, is gone.
        """

    def source(self, index: int) -> Path:
        """Return the folder or archive that one image lies in."""


class Found(NamedTuple):
    """The images of some classes."""

    names: Sequence[str]
    """`class folder/image`, sorted by class folder, then by name."""
    members: Members
    """The same images, to be read."""
    unread: Unread
    """What else was seen."""
    fingerprint: str = ""
    """Fingerprint of names and sizes, where an index has it."""


class Store(Protocol):
    """A split's class folders and images, before any is chosen."""

    @property
    def source(self) -> Path:
        """The folder or archive."""

    @property
    def inner(self) -> str:
        """Folder inside the archive that all class folders are in, with a slash at its end; empty if none."""

    @property
    def classes(self) -> list[str]:
        """Names of all class folders, in the order of the labels."""

    def images(self, wanted: Collection[str]) -> Found:
        """List the images of some classes."""


def find(root: Path, split: str) -> Store | None:
    """Find the store that holds a split: the first with any class, or else the first; None if there is none.

    Raises:
        DataError: If there is one that can't be read.
    """
    first = None
    for name in STORES:
        store: Store | None = importlib.import_module(f"{__name__}.{name}").find(root, split)
        if store is not None and store.classes:
            return store
        first = first or store
    return first


def is_image(name: str) -> bool:
    """Tell by its ending whether a file is an image; hidden files aren't."""
    return name[name.rfind(".") :].lower() in SUFFIXES and name[name.rfind("/") + 1] != "."


def is_class(name: str) -> bool:
    """Tell by its name whether a folder is a class folder; hidden ones aren't."""
    return not name.startswith(".") and name not in JUNK


def by_class(name: str) -> tuple[str, str]:
    """Sort by class folder, then by name: as plain text `a-b/` would precede `a/`."""
    return name.split("/", 1)[0], name


def inner_folder(images: Sequence[str]) -> str:
    """Return the one folder that the class folders of all images are in, with a slash at its end; empty if there is none.

    Images beside that folder, like other files there, are in no class.
    """
    paths = [name for name in images if "/" in name and is_class(name.split("/", 1)[0])]
    tops = {name.split("/", 1)[0] for name in paths}
    return f"{next(iter(tops))}/" if len(tops) == 1 and min(name.count("/") for name in paths) >= 2 else ""
