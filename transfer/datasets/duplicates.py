"""Find pictures that a data set holds more than once: what is in both splits makes every number too good."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from transfer.datasets.decoding import Listed, Seen
from transfer.datasets.truths import few


def duplicates(images: Sequence[Listed], seen: Sequence[Seen]) -> tuple[str, ...]:
    """Describe which pictures are there more than once, by their pixels, and how many of them are equal files.

    Args:
        images: The images of both splits.
        seen: What came of each, with digests. Those that can't be decoded count as nothing.

    Returns:
        A note on those in both splits and one on those within each split, where there are any; else one that says so.
    """
    readable = [index for index, each in enumerate(seen) if each.problem is None]
    pixels, files = (np.array([getattr(seen[index], name) for index in readable], np.uint64) for name in ("pixels", "file"))
    splits = np.array([images[index].split for index in readable])
    notes = list(_notes([images[index] for index in readable], pixels, files, splits))
    return tuple(notes) or (f"none of {len(readable)} pictures is there more than once, by its pixels",)


def _notes(
    images: Sequence[Listed], pixels: NDArray[np.uint64], files: NDArray[np.uint64], splits: NDArray[np.str_]
) -> Iterator[str]:
    for split, other in (("val", "train"), ("train", "train"), ("val", "val")):
        mine, theirs = np.flatnonzero(splits == split), np.flatnonzero(splits == other)
        found, first = np.unique(pixels[theirs], return_index=True)
        known = dict(zip(found.tolist(), theirs[first].tolist(), strict=True))
        pairs = [(index, known[key]) for index, key in zip(mine.tolist(), pixels[mine].tolist(), strict=True) if key in known]
        pairs = [(index, earlier) for index, earlier in pairs if index != earlier]
        if not pairs:
            continue
        same = sum(bool(files[index] == files[earlier]) for index, earlier in pairs)
        first_ones = few([f"{images[index].name} = {images[earlier].name}" for index, earlier in pairs])
        equal = "all of them equal files" if same == len(pairs) else f"{same} of them equal files"
        if split == other:
            yield f"{len(pairs)} of {len(mine)} images of {split} are copies of others of {split} ({equal}): {first_ones}"
        else:
            yield (
                f"IN BOTH SPLITS: {len(pairs)} of {len(mine)} images of {split} are images of {other}, too ({equal}): what is "
                f"measured on them is what was trained on, and the numbers are too good: {first_ones}"
            )
