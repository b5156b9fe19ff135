"""What identifies a set of images: their names and sizes, and the labels that aren't the names of their folders."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

AT_ONCE = 4096
"""Images digested at a time."""


def fingerprint(names: Iterable[str], sizes: Iterable[int], labels: Iterable[str] | None = None) -> str:
    """Digest images to 16 hex digits.

    Args:
        names: (N,) `class folder/image`.
        sizes: (N,) bytes of each.
        labels: (N,) names of their classes; None: each is that of the folder.
    """
    digest = hashlib.sha256()
    if labels is None:
        lines: Iterator[str] = map("%s:%d\n".__mod__, zip(names, sizes, strict=True))
    else:
        lines = (_line(name, size, label) for name, size, label in zip(names, sizes, labels, strict=True))
    while part := "".join(islice(lines, AT_ONCE)):
        digest.update(part.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _line(name: str, size: int, label: str) -> str:
    return f"{name}:{size}\n" if name.startswith(f"{label}/") else f"{name}:{size}:{label}\n"
