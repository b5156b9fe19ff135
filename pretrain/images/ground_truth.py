"""Files that say the class of each validation image, where the images lie in no class folders: ImageNet's and its kin's."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pretrain.core.errors import DataError
from pretrain.core.texts import read_text

Truth = Callable[[str], str | None]
"""An image's name without its ending → its class; None if the file doesn't say it."""

LARGEST = 2**26
"""Bytes of such a file at most; ImageNet's have up to 2 MB."""
HIGH = 3
"""Levels above a data set's folder at which such a file is looked for: Kaggle's lies that far above `val`."""
SYNSETS = ("meta.mat", "meta_clsloc.mat", "map_clsloc.txt", "synsets.txt")
"""Files beside the development kit's ground truth that name the synset of each number."""
WORDNET = re.compile(r"n\d{8}")
MOVED = re.compile(r"mv +(\S+) +(\S+?)/?")
"""A line of the script that many sort ImageNet's validation images with."""


def find(root: Path, split: Path) -> Path | None:
    """Find the file in a split's folder, beside it, in a development kit beside it, or above."""
    places = [split, root, *sorted(root.glob("*devkit*/data")), *sorted(root.absolute().parent.glob("*devkit*/data"))]
    places += root.absolute().parents[:HIGH]
    return next((place / name for place in places for name in FILES if (place / name).is_file()), None)


def read(path: Path) -> Truth:
    """Read such a file.

    Raises:
        DataError: If it can't be read, says nothing, or the names of its synsets are missing.
    """
    return FILES[path.name](path)


def _named(path: Path, pairs: Sequence[tuple[str, str]]) -> Truth:
    """Look classes up by the names of images."""
    classes = {Path(name).stem: cls for name, cls in pairs}
    wrong = next((cls for cls in classes.values() if not cls or set(cls) & set("/\\\0") or cls.startswith(".")), None)
    if not classes or wrong is not None:
        raise DataError(f"can't read the classes of the images in {path}", seen=repr(wrong) if wrong else "none", fix=AGAIN)
    return classes.get


def _tiny(path: Path) -> Truth:
    """Read Tiny ImageNet's lines: name, class, box, with tabs."""
    return _named(path, [(parts[0], parts[1]) for parts in map(str.split, _lines(path)) if len(parts) > 1])


def _solution(path: Path) -> Truth:
    """Read Kaggle's table `ImageId,PredictionString`, whose second column begins with the class."""
    rows = [row for row in csv.reader(_lines(path)) if len(row) > 1 and row[0] != "ImageId"]
    return _named(path, [(row[0], row[1].split()[0] if row[1].split() else "") for row in rows])


def _script(path: Path) -> Truth:
    """Read the script that moves each image into the folder of its class, without running it."""
    return _named(path, [(found[1], found[2]) for line in _lines(path) if (found := MOVED.fullmatch(line))])


def _development_kit(path: Path) -> Truth:
    """Read the numbers of ILSVRC's development kit: line n is of the image whose name ends in the number n."""
    numbers = [int(line) if line.isdecimal() else 0 for line in _lines(path)]
    synsets = _synsets(path)
    unknown = next((number for number in numbers if number not in synsets), None)
    if not numbers or unknown is not None:
        seen = f"{unknown} of {len(synsets)} synsets" if numbers else "no line"
        raise DataError(f"can't read the classes of the images in {path}", seen=seen, fix=AGAIN)

    def truth(stem: str) -> str | None:
        end = re.search(r"(\d{1,9})$", stem)
        number = int(end[1]) if end else 0
        return synsets[numbers[number - 1]] if 0 < number <= len(numbers) else None

    return truth


def _synsets(path: Path) -> dict[int, str]:
    """Read the synset of each number, from the first file beside the ground truth that says it.

    Raises:
        DataError: If there is none, it can't be read, or it is in an order that can't be the numbers'.
    """
    file = next((path.with_name(name) for name in SYNSETS if path.with_name(name).is_file()), None)
    if file is None:
        allowed = f"beside it one of {', '.join(SYNSETS)}, which name the synset of each number"
        raise DataError(f"{path} has numbers, and nothing says of what", seen=path.parent, allowed=allowed, fix=KIT)
    if file.suffix == ".mat":
        return dict(_in_matlab(file))
    lines = [line.split() for line in _lines(file)]
    found = [next((word for word in words if WORDNET.fullmatch(word)), "") for words in lines]
    said = [next((int(word) for word in words if word.isdecimal()), None) for words in lines]
    if not all(found) or len(set(found)) < len(found):
        raise DataError(f"can't read the synsets in {file}", allowed="one on each line, such as n01440764", fix=KIT)
    if all(number is not None for number in said):
        return {number: synset for number, synset in zip(said, found, strict=True) if number is not None}
    if found == sorted(found):  # true of no kit: its numbers follow another order
        seen, allowed = "synsets in alphabetical order", "in the order of the kit's numbers, or each with its number"
        raise DataError(f"{file} doesn't say the numbers of {path.name}", seen=seen, allowed=allowed, fix=KIT)
    return dict(enumerate(found, start=1))


def _in_matlab(file: Path) -> Iterator[tuple[int, str]]:
    """Read the kit's table of synsets; those that have children are no classes."""
    from scipy.io import loadmat

    try:
        table: Any = loadmat(file, squeeze_me=True, variable_names=["synsets"])["synsets"].reshape(-1)
        for row in table:
            if not int(row["num_children"]):
                yield int(row["ILSVRC2012_ID"]), str(row["WNID"])
    except Exception as error:  # the file is another program's, and scipy raises whatever its content leads to
        raise DataError(f"can't read the synsets in {file}", seen=error or type(error).__name__, fix=KIT) from None


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path, LARGEST).splitlines() if line.strip()]


AGAIN = "download it again, or sort the images into folders of their classes"
KIT = "take meta.mat of the same development kit"
FILES: dict[str, Callable[[Path], Truth]] = {
    "val_annotations.txt": _tiny,
    "LOC_val_solution.csv": _solution,
    "ILSVRC2012_validation_ground_truth.txt": _development_kit,
    "ILSVRC2015_clsloc_validation_ground_truth.txt": _development_kit,
    "valprep.sh": _script,
}
"""Name of the file → its reader, in the order in which they are looked for in each place."""
