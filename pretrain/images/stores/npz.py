"""Archives of numpy with images and labels: MedMNIST's `train_images`, Keras's `x_train`, ImageNet32's `data` by planes."""

import math
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pretrain.core.errors import DataError
from pretrain.images.stores import listed, pixels, shards

ENDING = ".npz"
IMAGES, LABELS = ("images", "image", "x", "data"), ("labels", "label", "y", "targets")
"""What the arrays are called, beside a word for the split before or after it; alone where each split has its own file."""


class Keys(NamedTuple):
    """Names of the arrays of a split."""

    images: str
    labels: str


def find(root: Path, split: str) -> listed.Listed | None:
    """Find the archive of a split: one that holds both, or one for each.

    Raises:
        DataError: If it can't be read, or its arrays are no images with a label each.
    """
    found = [(file, keys) for file in _files(root, split) if (keys := _inside(file, split)) is not None]
    if len(found) > 1:
        raise DataError(
            f"{root} holds several archives of images",
            seen=", ".join(file.name for file, _ in found[:8]),
            allowed="one with all splits, or one for each split, such as train.npz and val.npz",
            fix=f"name one: --data {found[0][0]}",
        )
    return next((_store(file, keys) for file, keys in found), None)


def _files(root: Path, split: str) -> list[Path]:
    """List the archives in which a split may be: those that are called so; if there are none, those called nothing."""
    if root.is_file():
        names = [root.name, *(name for name in pixels.entries(root.parent) if shards.word_of(root) is not None)]
    else:
        names = pixels.entries(root)
    folder = root.parent if root.is_file() else root
    every = [folder / name for name in dict.fromkeys(names) if name.lower().endswith(ENDING) and name[0] != "."]
    words = {path: shards.word_of(path) for path in every}
    for word in shards.WORDS.get(split, ()):
        if own := [path for path, its in words.items() if its == word]:
            return own
    return [path for path, its in words.items() if its is None]


def _inside(file: Path, split: str) -> Keys | None:
    return _keys(pixels.reading(file, lambda: _names(file)), split, alone=shards.word_of(file) is not None)


def _names(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _keys(names: list[str], split: str, *, alone: bool) -> Keys | None:
    """Find the arrays of a split among an archive's names."""
    plain = {name.lower().replace("-", "_"): name for name in names}
    for word in shards.WORDS.get(split, ()):
        both = [_first(plain, kinds, word) for kinds in (IMAGES, LABELS)]
        if both[0] and both[1]:
            return Keys(both[0], both[1])
    bare = [next((plain[kind] for kind in kinds if kind in plain), None) for kinds in (IMAGES, LABELS)]
    return Keys(bare[0], bare[1]) if bare[0] and bare[1] and (alone or split == "train") else None


def _first(plain: dict[str, str], kinds: tuple[str, ...], word: str) -> str | None:
    every = (name for kind in kinds for name in (f"{word}_{kind}", f"{kind}_{word}"))
    return next((plain[name] for name in every if name in plain), None)


def _store(file: Path, keys: Keys) -> listed.Listed:
    pixels.require_room(file, _size(file, keys))
    images, labels = pixels.reading(file, lambda: _arrays(file, keys))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # MedMNIST's
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"the labels in {file} are not one class for each image",
            seen=f"{keys.labels}: {labels.dtype} of shape {labels.shape}",
            allowed="whole numbers, (images,) or (images, 1)",
            fix="of several labels for an image, choose one, and save them anew",
        )
    if images.ndim == 2 and images.shape[1] % 3 == 0 and (side := math.isqrt(images.shape[1] // 3)) ** 2 * 3 == images.shape[1]:
        images = images.reshape(-1, 3, side, side).transpose(0, 2, 3, 1)
    return pixels.store(file, images, labels.tolist(), None)


def _arrays(file: Path, keys: Keys) -> tuple[np.ndarray, np.ndarray]:
    with np.load(file, allow_pickle=False) as archive:
        return archive[keys.images], archive[keys.labels]


def _size(file: Path, keys: Keys) -> int:
    """Return the bytes that a split's arrays unpack to."""
    with zipfile.ZipFile(file) as archive:
        return sum(info.file_size for info in archive.infolist() if info.filename.removesuffix(".npy") in keys)
