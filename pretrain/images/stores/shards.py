"""Which archives hold a split: those that a path, a glob or a range names, those of a folder, and those beside them."""

import glob
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from pretrain.core.errors import DataError

WORDS = {"train": ("train", "training"), "val": ("val", "validation", "valid", "dev", "test")}
"""Words that name a split in the name of a file or its folder; of those of one split the first that is there counts."""
ENDINGS = (
    ".tar",
    ".parquet",
    ".arrow",
    ".npz",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tar.zst",
    ".tzst",
    ".tar.lz4",
)
"""Endings by which a path means shards, in lower case."""
REPOSITORY = "data"
"""Folder that has the shards in most of Hugging Face's data sets."""
MOST = 100_000
"""Files that one range may name."""
_WORD = re.compile(rf"(?<![a-z])({'|'.join(chain(*WORDS.values()))})(?![a-z])")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_OF = re.compile(r"(.*?)-(\d{1,6})-of-(\d{1,6})(.*)")
_SCHEME = re.compile(r"(pipe:|[A-Za-z][A-Za-z0-9+.-]*://)")


def named(option: str) -> bool:
    """Tell whether what a user wrote names shards, not a folder.

    Raises:
        DataError: For the address of something that isn't on this machine.
    """
    if _SCHEME.match(option):
        raise DataError(
            f"the data has to be on this machine, not at {option}",
            seen=f"an address ({_SCHEME.match(option)[1]}…)",  # type: ignore[index]
            allowed="a folder, a file, or a pattern of files such as 'imagenet/{train,val}-*.tar'",
            fix="download it, or mount it, and pass its path: images are read at random, in another order in each epoch",
        )
    return not Path(option).is_dir() and (option.lower().endswith(ENDINGS) or any(mark in option for mark in "*?[{"))


def title(root: Path) -> str:
    """Name a data set by its folder: of shards, by the folder that they are in, or above it if that is a split's."""
    place = root.resolve()
    if place.suffix.lower() == ".npz" and place.is_file() and not _is_split(place.stem.lower()):
        return place.stem
    if place.is_dir() or not named(str(place)):
        return place.name
    return place.parent.parent.name if _is_split(place.parent.name) else place.parent.name


def of_split(root: Path, split: str, ending: str | tuple[str, ...]) -> list[Path]:
    """Find the files with an ending that hold a split, sorted by name; empty if there are none.

    Args:
        root: A folder, which holds shards or folders of them, or a path, glob or range that names shards. A split that is not
            among those is looked for beside them.
        split: `train` or `val`.
        ending: In lower case.

    Raises:
        DataError: If a pattern names nothing, or a shard of `…-of-N` or of a range is missing.
    """
    if root.is_dir():
        folder = root if _inside(root, ending) else root / REPOSITORY
        first = _inside(folder, ending)
    elif named(str(root)):
        first = [file for file in expanded(str(root)) if file.name.lower().endswith(ending)]
        folder = first[0].parent if first else root
    else:
        return []
    if not first:
        return []
    beside = [*_within(folder, ending)]
    if _is_split(folder.name):
        beside += chain(*(_within(folder.parent / word, ending) for word in _words()))
    found = _of_words(first, split) or _of_words(beside, split)
    if not found and split == "train":
        found = [file for file in first if word_of(file) is None]
    return sorted(dict.fromkeys(_whole(found)))


def has(folder: Path, split: str) -> bool:
    """Tell whether a folder holds shards of a split."""
    return bool(
        _of_words([*_within(folder, ENDINGS), *chain(*(_within(folder / word, ENDINGS) for word in WORDS[split]))], split)
    )


def without_split(root: Path, split: str) -> DataError:
    """Compose the message for shards none of which are of a split."""
    files = expanded(str(root))
    return DataError(
        f"no images of the split {split}: nothing that {root} names, or that lies beside it, is called so",
        seen=", ".join(file.name for file in files[:4]) + (", …" if files[4:] else ""),
        allowed=f"files with one of the words {', '.join(WORDS[split])} in their name, or in a folder of that name",
        fix="pass both splits, as in --data 'data/{train,val}-*.tar', or the folder that holds them",
    )


def expanded(pattern: str) -> list[Path]:
    """List the files that a path with globs (`*`, `?`, `[…]`) and ranges (`{000..146}`, `{train,val}`) names.

    Raises:
        DataError: If it names none, or some of a range's files are missing.
    """
    if Path(pattern).is_file():
        return [Path(pattern)]
    every = [(piece, glob.glob(piece) if glob.has_magic(piece) else [piece]) for piece in _alternatives(pattern)]
    files = [Path(name) for _, names in every for name in names]
    missing = [piece for piece, names in every if not names or not Path(names[0]).is_file()]
    if missing:
        raise DataError(
            f"no file is {missing[0]}" + (f", nor {len(missing) - 1} more that {pattern} names" if missing[1:] else ""),
            seen=f"{len(every) - len(missing)} of {len(every)} are there" if every[1:] else _nearby(Path(missing[0]).parent),
            allowed="a path, a glob such as 'train-*.tar', or a range such as 'train-{000..146}.tar'",
            fix="correct it, and keep it in quotes, so that the shell doesn't expand it",
        )
    return files


def word_of(file: Path) -> str | None:
    """Return the last word in a file's name that names a split, or that of its folder; None without one."""
    words = _WORD.findall(file.name.lower())
    folder = file.parent.name.lower()
    return words[-1] if words else folder if _is_split(folder) else None


def _alternatives(pattern: str) -> list[str]:
    """Expand the braces of a pattern.

    Raises:
        DataError: If they name too many files.
    """
    whole, braces = [pattern], _BRACES.search(pattern)
    while braces is not None:
        whole = [name.replace(braces[0], each, 1) for name in whole for each in _choices(braces[1])]
        if len(whole) > MOST:
            raise DataError(f"{pattern} names too many files", seen=f"more than {MOST:,}", fix="correct the range")
        braces = _BRACES.search(whole[0]) if whole else None
    return whole


def _choices(inside: str) -> Sequence[str]:
    """Read a range, with as many digits as its first number, or a list with commas."""
    ends = _RANGE.fullmatch(inside)
    if ends is None:
        return inside.split(",")
    first, last = int(ends[1]), min(int(ends[2]), int(ends[1]) + MOST)
    return [str(number).zfill(len(ends[1])) for number in range(first, last + 1)]


def _whole(files: Sequence[Path]) -> Iterator[Path]:
    """Complete sets that are numbered `I-of-N`: one file of them stands for all.

    Raises:
        DataError: If one of a set is missing.
    """
    for file in files:
        parts = _OF.fullmatch(file.name)
        if parts is None:
            yield file
            continue
        start, total = parts[1], int(parts[3])
        others = file.parent.glob(f"{glob.escape(start)}-*-of-{parts[3]}*{glob.escape(file.suffix)}")
        there = {int(other[2]): path for path in others if (other := _OF.fullmatch(path.name)) and other[1] == start}
        missing = [number for number in range(total) if number not in there]
        if missing:
            raise DataError(
                f"{len(missing)} of the {total} shards of {file.parent / start} are missing",
                seen=f"{len(there)} of them, not number {', '.join(map(str, missing[:4]))}{', …' if missing[4:] else ''}",
                allowed=f"{start}-{'0'.zfill(len(parts[2]))}-of-{parts[3]}… and all that follow",
                fix="download the missing ones",
            )
        yield from there.values()


def _of_words(files: Sequence[Path], split: str) -> list[Path]:
    """Choose the files of a split: those with the first of its words that any of them has."""
    words = [word_of(file) for file in files]
    chosen = next((word for word in WORDS.get(split, (split,)) if word in words), None)
    return [] if chosen is None else [file for file, word in zip(files, words, strict=True) if word == chosen]


def _within(folder: Path, ending: str | tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.name.lower().endswith(ending) and path.name[0] != "." and path.is_file()
    )


def _inside(folder: Path, ending: str | tuple[str, ...]) -> list[Path]:
    """List the files in a folder, and in those of splits below it."""
    return [*_within(folder, ending), *chain(*(_within(folder / word, ending) for word in _words()))]


def _words() -> list[str]:
    return list(chain(*WORDS.values()))


def _is_split(name: str) -> bool:
    return name.lower() in _words()


def _nearby(folder: Path) -> str:
    if not folder.is_dir():
        return f"nothing: the folder {folder} does not exist"
    names = sorted(path.name for path in folder.iterdir())
    return f"in {folder}: {', '.join(names[:6])}{', …' if names[6:] else ''}" if names else f"an empty folder {folder}"
