"""VOC's lists of images: which annotation a line names, and which image belongs to it."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from pretrain.core.access import other_locale
from pretrain.core.errors import DataError
from pretrain.core.layout import contents
from pretrain.images.names import RENAMED, Files, Names, is_outside
from pretrain.images.stores import SUFFIXES
from transfer.datasets import shown
from transfer.datasets.remarks import Remarks

XML = ".xml"
_NUMBERED = (re.compile(r"(.*\S)\s+[-+]?[\d.,]+"), re.compile(r"(\S.*?)(?:\s+[-+]?[\d.,]+)+"))
"""A name and numbers behind it, such as whether a class is in the image: one, or all."""


class Stems:
    """The files of a folder, by their names without endings."""

    def __init__(self, folder: Path, endings: Collection[str]) -> None:
        """List the files with one of these endings, in lower case.

        Raises:
            DataError: If the folder can't be listed.
        """
        self.folder, self._found = Files(folder), dict[str, list[str]]()
        for name in self.folder.names():
            stem, ending = os.path.splitext(name)
            if ending.lower() in endings:
                self._found.setdefault(stem, []).append(name)
        self.names = Names(self._found)

    def files(self, stem: str) -> list[str]:
        """Return the files of that stem, or else of the one that differs from it in form only.

        Raises:
            DataError: If several stems do.
        """
        return self._found.get(self.names.find(stem) or "", [])


class Listed:
    """The annotations and images of a folder such as VOC2007, as lists name them."""

    def __init__(self, folder: Path, remarks: Remarks) -> None:
        """List both folders; odd names are counted in `remarks`.

        Raises:
            DataError: If one can't be listed, or holds nothing of its kind.
        """
        self._annotations = Stems(folder / "Annotations", (XML,))
        self._images = Stems(folder / "JPEGImages", SUFFIXES)
        self._remarks = remarks
        for kind, stems in (("annotations", self._annotations), ("images", self._images)):
            if not stems.names:
                place = stems.folder.folder
                fix = f"put the files into {place} itself"
                raise DataError(f"no {kind} in {place}", seen=contents(place), allowed="a file for each image", fix=fix)

    def identity(self, line: str) -> str:
        """Return the stem that a line means: its own, or that of a file name, or what stands before its numbers.

        A line is a name, blanks and all; only where there is none of that name, numbers behind it are cut off.

        Raises:
            DataError: If it could be several.
        """
        for form, numbers in _forms(line):
            found = self._annotations.names.find(form)
            if found is not None:
                if found != numbers:
                    self._remarks.add("names in lists written in another form", f"{line!r}, which is {found!r}")
                return found
        return _cut(line)[0] if _cut(line) else line

    def annotation(self, identity: str, listing: Path) -> Path:
        """Return the annotation of that stem.

        Raises:
            DataError: If there is none, or it can't be looked at.
        """
        folder = self._annotations.folder
        near = self._annotations.names.near(identity)
        if is_outside(identity) or "/" in identity:
            allowed, fix = "a file's name without its ending", None if near is None else f"write {near!r}"
            raise DataError(f"{listing} names a file outside {folder.folder}", seen=shown(identity), allowed=allowed, fix=fix)
        files, usual = self._annotations.files(identity), f"{identity}{XML}"
        if not files:
            fix = other_locale() or (
                "add the annotation or remove the line" if near is None else f"write {near!r}, which is there"
            )
            raise DataError(f"{folder.folder / usual} is missing", seen=f"{identity!r} in {listing}", fix=fix)
        name = usual if usual in files else files[0]
        if len(files) > 1 and name != usual:
            raise DataError(f"several annotations for {identity!r} in {listing}", seen=", ".join(files), allowed=usual)
        if name != usual:
            self._remarks.add(f"annotations {RENAMED}", f"{usual!r}, which is {name!r}")
        return folder.path(name)

    def image(self, identity: str, listing: Path) -> Path:
        """Return the image of that stem.

        Raises:
            DataError: If there is none, there are several, or it can't be looked at.
        """
        folder = self._images.folder
        files = self._images.files(identity)
        if len(files) != 1:
            what = "several images" if files else "no image"
            allowed = f"{folder.folder / identity}.jpg"
            raise DataError(f"{what} for {identity!r} in {listing}", seen=", ".join(files) or None, allowed=allowed)
        if os.path.splitext(files[0])[0] != identity:
            self._remarks.add(f"images {RENAMED}", f"{identity!r}, which is {files[0]!r}")
        return folder.path(files[0])


def _forms(line: str) -> Iterator[tuple[str, str]]:
    """Yield the names that a line may mean, the likeliest first, each with the one that is nothing to remark on."""
    for name in dict.fromkeys((line, *_cut(line))):
        yield name, name
        stem, ending = os.path.splitext(name)
        if ending.lower() in SUFFIXES | {XML}:
            yield stem, name


def _cut(line: str) -> list[str]:
    """Return what stands before the last number of a line, and before all at its end; nothing where it doesn't end in one."""
    return [match[1] for pattern in _NUMBERED if (match := pattern.fullmatch(line))]


def _instead(name: str, there: Names) -> str | None:
    near = there.near(name)
    return None if near is None else f"write {near!r}, which is there"
