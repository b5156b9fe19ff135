"""How the names of images and of label maps end, told from the names that are there: people call their own files otherwise."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

SHOWN = 4
"""Endings that a message lists at most."""
IDS_OF_TRAINING = "trainids"
"""In lower case, what an ending says of label maps in the place of others beside them."""
NOT_OF_TRAINING = ("labelids", "instanceids", "instancetrainids", "_color", "_colour")
"""In lower case, endings of what lies beside label maps, and is none with ids of training."""


class Endings(NamedTuple):
    """How names end, from behind what an image and its label map have in common."""

    image: str
    label: str


def told(images: Collection[str], labels: Collection[str]) -> Endings | None:
    """Find the one pair of endings by which every image has exactly one label map of the same beginning; None if there is none.

    Args:
        images: Paths of images below their folder.
        labels: Paths of pictures below the folder of label maps.
    """
    found = []
    for image in _shared_endings(images):
        stems = {path.removesuffix(image) for path in images}
        fitting = [label for label in _behind(stems, labels) if not _other_kind(label)]
        named = [label for label in fitting if IDS_OF_TRAINING in label.lower()]
        chosen = named or fitting
        if len(chosen) == 1:
            found.append(Endings(image, chosen[0]))
    return found[0] if found else None


def seen(names: Collection[str]) -> str:
    """List the endings of names for a message, the most frequent first."""
    counts = Counter(_last(name) for name in names)
    every = [f"*{ending}" for ending, _ in counts.most_common()]
    return ", ".join(every[:SHOWN]) + (", …" if len(every) > SHOWN else "") or "none"


def _shared_endings(names: Collection[str]) -> Sequence[str]:
    """List what all names end in, from a `_`, a `-` or the dot on, the longest first, without a number of one image."""
    shared = min(names, default="").rpartition("/")[2]
    for name in names:
        while not name.endswith(shared):
            shared = shared[1:]
    starts = [match.start() for match in re.finditer(r"[_\-.]", shared)]
    return [shared[at:] for at in starts if not re.match(r"[_\-]\d", shared[at:])]


def _behind(stems: set[str], labels: Collection[str]) -> list[str]:
    """List the endings that every stem has a label map of, and no label map is left with."""
    endings: dict[str, set[str]] = {}
    for path in labels:
        folder, _, name = path.rpartition("/")
        for match in re.finditer(r"[_\-.]", name):
            stem = f"{folder}/{name[: match.start()]}" if folder else name[: match.start()]
            if stem in stems:
                endings.setdefault(name[match.start() :], set()).add(stem)
    return sorted(ending for ending, found in endings.items() if found == stems)


def _other_kind(label: str) -> bool:
    return any(word in label.lower() for word in NOT_OF_TRAINING)


def _last(name: str) -> str:
    base = name.rpartition("/")[2]
    found = re.search(r"[_\-](?!\d)(?!.*[_\-]\d)|\.", base)
    return base[found.start() :] if found else base
