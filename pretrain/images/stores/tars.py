"""Tars, read at random: WebDataset's shards, and tars of class folders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pretrain.images.stores import listed, shards, tarfiles, webdataset

ENDING = ".tar"
COMPRESSED = {
    (".tar.gz", ".tgz"): "gunzip",
    (".tar.bz2", ".tbz"): "bunzip2",
    (".tar.xz", ".txz"): "unxz",
    (".tar.zst", ".tzst"): "unzstd",
    (".tar.lz4",): "unlz4",
}
"""Endings of compressed tars, and what unpacks them to plain ones."""
ROW = np.dtype([("file", np.int32), ("start", np.int64), ("size", np.int64)])
"""A member: in which tar it is, where its bytes begin, and how many they are."""


@dataclass(frozen=True)
class Members:
    """Images in tars. A read opens its tar and shares nothing, so that threads and loader workers may read at once."""

    files: tuple[Path, ...]
    """The tars."""
    table: np.ndarray
    """(N,) of `ROW`."""

    def __len__(self) -> int:
        return len(self.table)

    def part(self, indices: Sequence[int]) -> "Members":
        """Select images by their indices."""
        return Members(self.files, self.table[np.asarray(indices, np.int64)])

    def sizes(self) -> Iterator[int]:
        """Yield the bytes of each image."""
        return iter(self.table["size"].tolist())

    def read(self, index: int) -> bytes:
        """Read one image.

        Raises:
            OSError: If it can't be read, or the tar has become shorter.
        """
        file, start, size = self.table[index].item()
        return tarfiles.read(self.files[file], start, size)

    def source(self, index: int) -> Path:
        """Return the tar that holds an image."""
        return self.files[self.table["file"][index]]


def find(root: Path, split: str) -> listed.Listed | None:
    """Find the tars of a split, and list them.

    Raises:
        DataError: If one isn't whole or holds something unusual, or they are compressed.
    """
    files = shards.of_split(root, split, ENDING)
    if not files:
        for endings, command in COMPRESSED.items():
            for file in shards.of_split(root, split, endings):
                raise tarfiles.compressed(file, command)
        return None
    given = listed.names_beside(files[0].parent)
    found = [webdataset.samples(file, tarfiles.scan(file), given) for file in files]
    table = np.array([(number, *place) for number, each in enumerate(found) for place in each.places], ROW)
    source = files[0] if len(files) == 1 else files[0].parent
    joined = webdataset.joined(found, given, source)
    members = Members(tuple(files), table[joined.kept])
    return listed.in_order(source, joined.classes, joined.names, members, inner=joined.inner, unread=joined.unread)
