"""Folders and zips of class folders: which images there are, of which class, and their bytes."""

import hashlib
import os
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from pretrain.core.errors import DataError, GoneError
from pretrain.images import zips
from pretrain.images.decode import Picture, undecodable

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})


@dataclass(frozen=True)
class ImageSet:
    """The images of one split and their classes. Holds names, not pixels."""

    root: Path
    """A folder, or a zip."""
    classes: tuple[str, ...]
    """Sorted names; the position is the label."""
    names: tuple[str, ...]
    """`class folder/image` below the root, sorted."""
    labels: tuple[int, ...]
    """Label of each image."""
    members: zips.Members | None = None
    """Where the images lie in the zip; None for a folder."""
    folders: int = 0
    """Class folders there are, those that were not asked for too."""

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.labels)
        assert self.members is None or len(self.members) == len(self.names), "take parts with `part`"

    def __len__(self) -> int:
        return len(self.names)

    def part(self, indices: Sequence[int]) -> "ImageSet":
        """Some of the images, with the same classes."""
        names = tuple(self.names[index] for index in indices)
        labels = tuple(self.labels[index] for index in indices)
        members = self.members.part(indices) if self.members else None
        return replace(self, names=names, labels=labels, members=members)

    def picture(self, index: int) -> Picture:
        """The image, not decoded yet.

        Raises:
            DataError: If the file can't be read or is no image; names it.
            GoneError: If it, or the zip, is not there any more.
        """
        name = self.names[index]
        try:
            data = self.members.read(index) if self.members else _file(f"{self.root}/{name}")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _gone(self.root, name, error) from None
        except zips.UNREADABLE as error:
            raise undecodable(f"{name} in {self.root}", error) from None
        return Picture(data, f"{name} in {self.root}")

    def open(self, index: int) -> Image.Image:
        """The image, RGB.

        Raises:
            DataError: If it can't be decoded; names the file.
        """
        return self.picture(index).rgb()

    def fingerprint(self, *, labels: bool = True) -> str:
        """Identify the images by 16 hex digits, whatever folder or archive they lie in; computed once per set.

        The digest covers names and file sizes and, with `labels`, every label that isn't the name of the image's folder.

        Raises:
            OSError: If a file is gone.
        """
        return self._fingerprints[labels]

    @cached_property
    def _fingerprints(self) -> tuple[str, str]:
        """Fingerprints without and with labels, from one look at every file."""
        without, with_labels = hashlib.sha256(), hashlib.sha256()
        for name, size, label in zip(self.names, self._sizes(), self.labels, strict=True):
            given = self.classes[label]
            relabelled = "" if name.startswith(f"{given}/") else f":{given}"
            without.update(f"{name}:{size}\n".encode())
            with_labels.update(f"{name}:{size}{relabelled}\n".encode())
        return without.hexdigest()[:16], with_labels.hexdigest()[:16]

    def _sizes(self) -> Iterator[int]:
        """Bytes of each image."""
        if self.members:
            return self.members.sizes()
        return (os.stat(f"{self.root}/{name}").st_size for name in self.names)


def _file(path: str) -> bytes:
    with open(path, "rb", opener=_at_once) as file:
        return file.read()


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe that was laid among the images has no bytes, and would never have any."""
    return os.open(path, flags | os.O_NONBLOCK)


def read(root: Path, split: str, classes: Collection[str] | None = None) -> ImageSet:
    """The images of `root/split` (class folders) or `root/split.zip` (class folders inside).

    Args:
        root: Folder of the splits.
        split: `train` or `val`.
        classes: Class folders to read; nothing else in a folder is listed. All of them without it.

    Raises:
        DataError: If neither is there, a class that was asked for is missing, or a class folder is empty.
    """
    source = _source(root, split)
    found, names, infos, inner = _in_folder(source, classes) if source.is_dir() else _in_zip(source, classes)
    missing = sorted(set(classes or ()) - set(found))
    if missing:
        raise _missing(missing, source, len(classes or ()), len(found))
    used = sorted(found if classes is None else set(classes))
    names, infos = _sorted_images(names, infos)
    _require_names(names, source)
    label = {cls: position for position, cls in enumerate(used)}
    labels = tuple(label[name.split("/", 1)[0]] for name in names)
    empty = sorted(set(range(len(used))) - set(labels))
    if empty or not names:
        raise DataError(
            f"no images in the class folder {source / inner / used[empty[0]] if empty else source}",
            seen=f"{len(used)} class folders, {len(names)} images",
            allowed=f"files ending in {', '.join(sorted(SUFFIXES))} in every class folder",
            fix="remove the empty folder, or put that class's images into it",
        )
    members = zips.Members.of(source, infos) if infos else None
    return ImageSet(source, tuple(used), tuple(names), labels, members, folders=len(found))


def class_folders(root: Path, split: str) -> list[str]:
    """Names of the class folders of a split, sorted; their content is not looked at.

    Raises:
        DataError: If the split is missing.
    """
    source = _source(root, split)
    return _folders(source) if source.is_dir() else sorted(_in_zip(source, ())[0])


def _source(root: Path, split: str) -> Path:
    folder, archive = root / split, root / f"{split}.zip"
    if folder.is_dir():
        return folder
    if archive.is_file():
        return archive
    raise _wrong_layout(root, split)


def _is_image(name: str) -> bool:
    base = name.rpartition("/")[2]
    return os.path.splitext(base)[1].lower() in SUFFIXES and not base.startswith(".")


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


Listing = tuple[list[str], list[str], list[zipfile.ZipInfo], str]
"""Class folders there are, `class folder/image` of the wanted ones, the same as members of the zip (none in a folder), and
the folder inside the zip that all are below."""


def _in_folder(folder: Path, classes: Collection[str] | None) -> Listing:
    found = _folders(folder)
    names: list[str] = []
    for cls in found if classes is None else sorted(set(classes) & set(found)):
        for where, _, files in os.walk(folder / cls):
            below = Path(where).relative_to(folder).as_posix()
            names.extend(f"{below}/{file}" for file in files if _is_image(file))
    return found, names, [], ""


def _in_zip(archive: Path, classes: Collection[str] | None) -> Listing:
    everything, inner = zips.listing(archive, _is_image)
    found = {name.split("/", 1)[0] for name in everything}
    wanted = found if classes is None else set(classes)
    images = {name: info for name, info in everything.items() if name.split("/", 1)[0] in wanted and _is_image(name)}
    return list(found), list(images), list(images.values()), inner


def _sorted_images(names: list[str], infos: list[zipfile.ZipInfo]) -> tuple[list[str], list[zipfile.ZipInfo]]:
    """Sorted by class folder, then by name: `a-b/` comes after `a/`."""
    order = sorted(range(len(names)), key=lambda i: (names[i].split("/", 1)[0], names[i]))
    return [names[i] for i in order], [infos[i] for i in order] if infos else []


def _gone(root: Path, name: str, error: OSError) -> GoneError:
    return GoneError(
        f"{name} in {root} is not there any more",
        seen=error.strerror if root.exists() else f"nothing: {root} is gone",
        allowed="the images that were there when the run began",
        fix="mount or restore the data, and give the same command again: it goes on from the last checkpoint",
    )


def _require_names(names: list[str], source: Path) -> None:
    """Refuse names that the lists of a run could not hold, one on a line: of other bytes than UTF-8, or with line breaks."""
    joined = "\0".join(names)
    try:
        joined.encode()
        broken = len(joined.splitlines()) > 1
    except UnicodeEncodeError:
        broken = True
    if broken:
        wrong = next(name for name in names if len(name.splitlines()) > 1 or name != name.encode(errors="replace").decode())
        raise DataError(f"an image in {source} has a name that is no line of text", seen=repr(wrong), fix="rename that file")


def _missing(missing: list[str], source: Path, asked: int, found: int) -> DataError:
    first = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
    return DataError(
        f"{len(missing)} of the {asked} classes asked for are not in {source}: {first}",
        seen=f"{found} class folders",
        allowed="every class of the list as a folder, in train and in val",
        fix="correct the list, or pass the data that has these classes with --data",
    )


def _wrong_layout(root: Path, split: str) -> DataError:
    if not root.exists():
        seen = "nothing: the folder does not exist"
    elif root.is_file():
        seen = "a file"
    else:
        seen = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "an empty folder"
    return DataError(
        f"no images to read: {root / split} is missing",
        seen=seen,
        allowed=f"{split}/CLASS/IMAGE.jpg, or {split}.zip with CLASS/IMAGE.jpg inside",
        fix="pass the folder that holds train/ and val/ with --data",
    )
