"""What the files of tars are: WebDataset's samples, images in class folders, or images without labels.

WebDataset (https://github.com/webdataset/webdataset): the files of a sample have the same path but for the ending. `KEY.jpg` is
an image; `KEY.cls`, `label` in `KEY.json`, or `KEY.txt` says its label.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pretrain.core.errors import DataError
from pretrain.images.stores import JUNK, SUFFIXES, inner_folder, is_class, is_image, listed
from pretrain.images.stores.listed import Label
from pretrain.images.stores.tarfiles import Member, read
from pretrain.images.unread import Unread

FIELDS = (".cls", ".json", ".txt")
"""Endings of files that can say a label; the first that does counts."""
LARGEST_FIELD = 2**20
"""Bytes of such a file at most."""


@dataclass(frozen=True)
class Samples:
    """What one tar holds."""

    file: Path
    """The tar."""
    paths: list[str] = field(default_factory=list)
    """Paths of its images."""
    places: list[tuple[int, int]] = field(default_factory=list)
    """Where each image begins, and its bytes."""
    labels: list[Label] = field(default_factory=list)
    """Label of each image."""
    unread: Unread = field(default_factory=Unread)
    """Files that are neither images nor labels."""


class Joined(NamedTuple):
    """The images of all tars of a split."""

    inner: str
    """Folder inside that all class folders are in, with a slash at its end; empty if none."""
    classes: list[str]
    """In the order of the labels."""
    names: list[str]
    """`class/image`, in the order of the tars."""
    kept: list[int]
    """Which of the images of all tars these are."""
    unread: Unread
    """What else was seen."""


def samples(file: Path, members: Iterable[Member], given: Sequence[str] | None) -> Samples:
    """Find the images of a tar and their labels.

    Args:
        file: The tar.
        members: Its files.
        given: Names of the classes, where a file beside the tars has them.

    Raises:
        DataError: If a label has no image or can't be read, or a name occurs twice.
    """
    found, images, fields = Samples(file), dict[str, Member](), dict[str, dict[str, Member]]()
    for member in members:
        stem, ending = os.path.splitext(member.name)
        if member.name.split("/", 1)[0] in JUNK:
            continue
        if is_image(member.name):
            if member.name in images:
                raise _twice(member.name, file)
            images[member.name] = member
        elif ending.lower() in FIELDS and not os.path.basename(stem).startswith("."):
            fields.setdefault(stem, {})[ending.lower()] = member
        else:
            found.unread.add([member.name])
    stems = {name: os.path.splitext(name)[0] for name in images}
    _require_pairs(file, stems, fields, found.unread)
    for name, member in images.items():
        if _is_second(name, images):
            found.unread.endings["." + name.rpartition("/")[2].partition(".")[2].lower()] += 1
            continue
        found.paths.append(name)
        found.places.append((member.start, member.size))
        found.labels.append(_label(file, fields.get(stems[name], {}), given))
    for its in fields.values():
        found.unread.endings.update(its.keys())  # those that say no label, for the others were taken out
    return found


def joined(found: Sequence[Samples], given: Sequence[str] | None, source: Path) -> Joined:
    """Name the images of all tars of a split.

    Raises:
        DataError: If there are none, only some have labels, or one is there twice.
    """
    unread = Unread()
    for each in found:
        unread.endings.update(each.unread.endings)
    paths = [path for each in found for path in each.paths]
    if not paths:
        raise _no_images(unread, source)
    labels = [label for each in found for label in each.labels]
    kept = list(range(len(paths)))
    if all(label is None for label in labels) and 2 * sum("/" in path for path in paths) > len(paths):
        inner = inner_folder(paths)
        kept = [index for index, path in enumerate(paths) if path.startswith(inner) and _in_class(path.removeprefix(inner))]
        unread.beside = len(paths) - len(kept)
        names = [paths[index].removeprefix(inner) for index in kept]
        classes = sorted({name.split("/", 1)[0] for name in names})
    else:
        inner = ""
        classes, each_class = listed.classes_of(labels, paths, given, source)
        names = [listed.image_name(cls, path) for cls, path in zip(each_class, paths, strict=True)]
    return Joined(inner, classes, _distinct(names, kept, found, source), kept, unread)


def _in_class(path: str) -> bool:
    return "/" in path and is_class(path.split("/", 1)[0])


def _label(file: Path, fields: dict[str, Member], given: Sequence[str] | None) -> Label:
    """Take a sample's label out of its fields; None if it has none.

    Raises:
        DataError: If its `.cls` says none.
    """
    for ending in FIELDS:
        if (member := fields.get(ending)) is None:
            continue
        text = _text(file, member)
        label = _in_json(text) if ending == ".json" else listed.parsed(text)
        if ending == ".txt" and not isinstance(label, int) and label not in (given or ()):
            label = None  # a caption
        if label is not None:
            del fields[ending]
            return label
        if ending == ".cls":
            fix = "write the number of its class, or its name, in one line"
            raise DataError(f"{member.name} in {file} says no class", seen=repr(text[:40]), fix=fix)
    return None


def _text(file: Path, member: Member) -> str:
    if member.size > LARGEST_FIELD:
        allowed = f"at most {LARGEST_FIELD:,} bytes"
        raise DataError(f"{member.name} in {file} is too large for a label", seen=f"{member.size:,} bytes", allowed=allowed)
    return read(file, member.start, member.size).decode(errors="replace")


def _in_json(text: str) -> Label:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    label = content.get("label") if isinstance(content, dict) else None
    return listed.parsed(str(label)) if isinstance(label, int | str) and not isinstance(label, bool) else None


def _is_second(name: str, images: Mapping[str, Member]) -> bool:
    """Tell whether an image is another field of a sample that has one: `KEY.seg.png` beside `KEY.jpg`."""
    folder, _, base = name.rpartition("/")
    key = f"{folder}/" * bool(folder) + base.split(".", 1)[0]
    return base.count(".") > 1 and any(f"{key}{ending}" in images for ending in SUFFIXES)


def _distinct(names: list[str], kept: Sequence[int], found: Sequence[Samples], source: Path) -> list[str]:
    """Tell images of several tars apart that have one name: by the tar, as some writers count from 0 in each.

    Raises:
        DataError: If most of them are as large as their namesakes: a tar is there twice.
    """
    if len(set(names)) == len(names):
        return names
    every = [(each.file, size) for each in found for _, size in each.places]
    tars, sizes = zip(*(every[index] for index in kept), strict=True)
    first: dict[str, int] = {}
    again = [(index, first[name]) for index, name in enumerate(names) if first.setdefault(name, index) != index]
    if 2 * sum(sizes[index] == sizes[before] for index, before in again) > len(again):
        index, before = again[0]
        raise DataError(
            f"{len(again)} images in {source} are there twice, the first is {names[index]}",
            seen=f"in {tars[before].name} and in {tars[index].name}",
            allowed="each image once",
            fix="remove the second copy, or name only one of them with --data",
        )
    apart = [
        f"{cls}/{tar.stem}/{rest}" for tar, (cls, _, rest) in zip(tars, (name.partition("/") for name in names), strict=True)
    ]
    if len(set(apart)) < len(apart):
        raise _twice(Counter(apart).most_common(1)[0][0], source)
    return apart


def _twice(name: str, source: Path) -> DataError:
    return DataError(f"{name} is there twice in {source}", allowed="one image of each name", fix="pack it again")


def _require_pairs(file: Path, stems: Mapping[str, str], fields: Mapping[str, Mapping[str, Member]], unread: Unread) -> None:
    """Refuse a label without an image, or with two; `stems`: name of each image → without its ending."""
    counts = Counter(stems.values())
    labelled = [stem for stem, its in fields.items() if ".cls" in its]
    without = [stem for stem in labelled if not counts[stem]]
    if without:
        its = [name for name in stems if name.startswith(f"{without[0]}.")]
        raise DataError(
            f"{len(without)} labels in {file} have no image, the first is {without[0]}.cls",
            seen=f"{len(its)} images of that sample: {', '.join(its[:4])}" if its else f"other files: {_counted(unread)}",
            allowed=f"one image beside each, KEY.cls and KEY with one of {', '.join(sorted(SUFFIXES))}",
            fix="pack one image for each label" if its else "pack it again",
        )
    several = [stem for stem in labelled if counts[stem] > 1]
    if several:
        raise _twice(several[0], file)


def _no_images(unread: Unread, source: Path) -> DataError:
    fix = "pack the images as KEY.jpg and KEY.cls, or in class folders"
    if ".tar" in unread.endings:  # as ILSVRC2012_img_train.tar
        fix = f"unpack it, and each tar into a folder of its class: mkdir -p train && tar -xf {source} -C train && "
        fix += 'cd train && for t in *.tar; do mkdir "${t%.tar}" && tar -xf "$t" -C "${t%.tar}" && rm "$t"; done'
    allowed = f"files that end in {', '.join(sorted(SUFFIXES))}"
    return DataError(f"no images in {source}", seen=_counted(unread), allowed=allowed, fix=fix)


def _counted(unread: Unread) -> str:
    shown = ", ".join(f"{count} {ending or 'without ending'}" for ending, count in unread.endings.most_common(6))
    return shown or "nothing"
