"""Which images are trained on and which are validated on: as the export says, as a list says, or by a seeded draw.

The draw hashes each image's path below the export's folder, so an image that is added or removed moves no other one.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pretrain.core.errors import ConfigError, DataError
from transfer.arrange.folder import TEST, TRAIN, VAL
from transfer.arrange.items import Export, Item
from transfer.arrange.values import lines_of

LARGEST_SHARE = 1.0


def divided(export: Export, val: str | None, seed: int) -> Export:
    """Return an export whose every image is in `train` or in `val`.

    Args:
        export: What was read.
        val: `--val`: a share such as 0.1, or a file that names the validation images; None: as the export says.
        seed: Seed of the draw.

    Raises:
        DataError: If the export doesn't say it and nobody else does; if a split would be empty.
        ConfigError: If both say it.
    """
    splits = {item.split for item in export.items} - {None}
    if splits & {VAL, TEST} and val is not None:
        raise ConfigError(
            "the export has its own validation images",
            seen=f"--val {val}, and {_counted(export.items)}",
            fix="leave --val away",
        )
    if splits & {VAL, TEST}:
        items, notes = _own(export, VAL if VAL in splits else TEST)
    elif val is None:
        raise DataError(
            "the export has no validation images",
            seen=f"{len(export.items)} images in one split",
            allowed="--val SHARE, or --val FILE with one name of an image a line",
            fix="add --val 0.1, which draws a tenth of them (--seed draws others)",
        )
    else:
        items, notes = _chosen(export, val, seed)
    for split in (TRAIN, VAL):
        if not any(item.split == split for item in items):
            raise DataError(
                f"no image is left for {split}", seen=_counted(export.items), allowed="one or more in each of train, val"
            )
    return dataclasses.replace(export, items=tuple(items), notes=(*export.notes, *notes))


def drawn(names: Iterable[str], share: float, seed: int) -> set[str]:
    """Draw a share of names: those whose hash is small; of two or more at least one and never all."""
    hashed = sorted((hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest(), name) for name in names)
    below = sum(int.from_bytes(digest[:8], "big") < share * 2**64 for digest, _ in hashed)
    return {name for _, name in hashed[: min(max(below, 1), len(hashed) - 1)]}


def _own(export: Export, held_out: str) -> tuple[list[Item], list[str]]:
    """Take the export's own splits; images that no folder assigns are trained on."""
    items = [
        dataclasses.replace(item, split=VAL if item.split == held_out else TRAIN)
        for item in export.items
        if item.split != TEST or held_out == TEST
    ]
    left = len(export.items) - len(items)
    notes = ["its test images are the validation images, for it has no others"] if held_out == TEST else []
    return items, notes + ([f"{left} test images left out: the layout has train and val"] if left else [])


def _chosen(export: Export, val: str, seed: int) -> tuple[list[Item], list[str]]:
    share = _share(val)
    if share is None:
        chosen, note = _listed(export.items, Path(val)), f"the validation images are those of {val}"
    else:
        groups: dict[str | None, list[str]] = {}
        for item in export.items:
            groups.setdefault(item.label, []).append(item.image)
        chosen = {name for names in groups.values() for name in drawn(names, share, seed)}
        note = f"{len(chosen)} of {len(export.items)} images drawn for validation, by their names and the seed {seed}"
    return [dataclasses.replace(item, split=VAL if item.image in chosen else TRAIN) for item in export.items], [note]


def _share(val: str) -> float | None:
    """Read a share; None if it is the name of a file."""
    try:
        share = float(val)
    except ValueError:
        return None
    if not 0 < share < LARGEST_SHARE:
        raise ConfigError("--val is no share of the images", seen=val, allowed="between 0 and 1, such as 0.1, or a file")
    return share


def _listed(items: Sequence[Item], listing: Path) -> set[str]:
    """Find the images that a file lists, by path, base name or stem."""
    known: dict[str, set[str]] = {}
    for item in items:
        for name in {item.image, Path(item.image).name, Path(item.image).stem}:
            known.setdefault(name, set()).add(item.image)
    chosen: set[str] = set()
    for number, line in enumerate(lines_of(listing), start=1):
        found = known.get(line, set())
        if len(found) != 1:
            seen = f"{len(found)} images of that name" if found else "no image of that name"
            raise DataError(
                f"line {number} of {listing} names no image: {line!r}", seen=seen, allowed="path, name or stem of one image"
            )
        chosen |= found
    return chosen


def _counted(items: Sequence[Item]) -> str:
    counts = {split or "no split": sum(item.split == split for item in items) for split in (TRAIN, VAL, TEST, None)}
    return ", ".join(f"{count} images in {split}" for split, count in counts.items() if count)
