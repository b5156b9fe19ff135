"""Images to train on: folders or zips of class folders, decoded once and cropped as often as there are views."""

import hashlib
import io
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pretrain.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
UNLABELLED = -1


@dataclass(frozen=True)
class ImageSet:
    """The images of one split and their classes. Holds names, not pixels."""

    root: Path
    """A folder, or a zip."""
    classes: tuple[str, ...]
    """Sorted names; the position is the label."""
    names: tuple[str, ...]
    """`class/image` below the root, sorted."""
    labels: tuple[int, ...]
    """Label of each image."""
    inner: str = ""
    """Folder inside a zip below which the class folders lie."""
    _zips: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.names)

    def open(self, index: int) -> Image.Image:
        """The image, RGB.

        Raises:
            DataError: If it can't be decoded; names the file.
        """
        try:
            image = Image.open(io.BytesIO(self._bytes(index)))
            return image.convert("RGB")
        except (OSError, SyntaxError, ValueError, zipfile.BadZipFile, Image.DecompressionBombError) as error:
            raise DataError(
                f"can't decode the image {self.names[index]} in {self.root}", seen=error, fix="replace or remove that file"
            ) from None

    def fingerprint(self) -> str:
        """Digest of the images' names and sizes: independent of where they lie and of how they are packed."""
        digest = hashlib.sha256()
        for name, size in zip(self.names, self._sizes(), strict=True):
            digest.update(f"{name}:{size}\n".encode())
        return digest.hexdigest()[:16]

    def _bytes(self, index: int) -> bytes:
        if self.root.is_dir():
            return (self.root / self.names[index]).read_bytes()
        # A zip's file handle can't be shared between processes: each loader process opens its own.
        if os.getpid() not in self._zips:
            self._zips[os.getpid()] = zipfile.ZipFile(self.root)
        return self._zips[os.getpid()].read(self.inner + self.names[index])

    def _sizes(self) -> Iterator[int]:
        if self.root.is_dir():
            return ((self.root / name).stat().st_size for name in self.names)
        archive = zipfile.ZipFile(self.root)
        return (archive.getinfo(self.inner + name).file_size for name in self.names)


def read(root: Path, split: str) -> ImageSet:
    """The images of `root/split` (class folders) or `root/split.zip` (class folders inside).

    Raises:
        DataError: If neither is there, or one of the class folders is empty.
    """
    folder, archive = root / split, root / f"{split}.zip"
    if folder.is_dir():
        names, inner, source = _in_folder(folder), "", folder
    elif archive.is_file():
        names, inner, source = *_in_zip(archive), archive
    else:
        raise _wrong_layout(root, split)
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(name.split("/")[0], []).append(name)
    classes = tuple(sorted(by_class))
    images = [(name, label) for label, cls in enumerate(classes) for name in sorted(by_class[cls]) if _is_image(name)]
    empty = [cls for cls in classes if not any(_is_image(name) for name in by_class[cls])]
    if empty or not images:
        raise DataError(
            f"no images in the class folder {source / inner / empty[0] if empty else source}",
            seen=f"{len(classes)} class folders, {len(images)} images",
            allowed=f"files ending in {', '.join(sorted(SUFFIXES))} in every class folder",
            fix="remove the empty folder, or put that class's images into it",
        )
    return ImageSet(source, classes, tuple(name for name, _ in images), tuple(label for _, label in images), inner)


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")


def _in_folder(folder: Path) -> list[str]:
    """`class/image` of every file, and `class/` for every class folder, so that an empty one shows."""
    names = []
    for cls in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")):
        names.append(f"{cls}/")
        for where, _, files in os.walk(folder / cls):
            names.extend(Path(where, file).relative_to(folder).as_posix() for file in files)
    return names


def _in_zip(archive: Path) -> tuple[list[str], str]:
    """Names as in a folder, and the folder inside the zip that they are below."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if not name.startswith("__MACOSX/")]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"can't read the zip {archive}", seen=error, fix="copy it again and compare its size") from None
    depths = {name.count("/") for name in names if _is_image(name)}
    tops = {name.split("/")[0] for name in names}
    inner = f"{next(iter(tops))}/" if len(tops) == 1 and depths and min(depths) >= 2 else ""
    return [name.removeprefix(inner) for name in names if name.startswith(inner) and "/" in name.removeprefix(inner)], inner


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


def keep_labels(labels: Sequence[int], fraction: float, seed: int) -> list[int]:
    """The labels with all but a class-balanced, seeded `fraction` of each class replaced by `UNLABELLED`."""
    kept = np.full(len(labels), UNLABELLED)
    by_class = np.asarray(labels)
    rng = np.random.default_rng((seed, 1))
    for label in np.unique(by_class):
        members = np.flatnonzero(by_class == label)
        chosen = rng.permutation(members)[: round(fraction * len(members))]
        kept[chosen] = label
    return [int(label) for label in kept]


@dataclass(frozen=True)
class Crop:
    """A random resized crop (Szegedy et al. 2014), as torchvision draws it."""

    size: int
    """Side of the result, in pixels."""
    scale: tuple[float, float]
    """Share of the area, uniform."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width over height, log-uniform."""

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """The crop, resized with an antialiased bilinear filter."""
        width, height = image.size
        for _ in range(10):
            area = width * height * rng.uniform(*self.scale)
            aspect = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
                return self._resized(image, (left, top, left + w, top + h))
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return self._resized(image, (left, top, left + side, top + side))

    def _resized(self, image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
        return image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)


@dataclass(frozen=True)
class CentreCrop:
    """The evaluation crop: shorter side to `size · 256/224`, then the central square."""

    size: int
    """Side of the result, in pixels."""

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """The crop; nothing is drawn from `rng`."""
        width, height = image.size
        side = min(width, height) * 224 / 256
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)


Position = tuple[int, int]
"""Epoch and index of an image: with the seed, all that its crops depend on."""


class Crops(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Batches of crops: (V, N, 3, S, S) uint8, labels (N,), indices (N,)."""

    def __init__(self, images: ImageSet, labels: Sequence[int], crop: Crop | CentreCrop, *, views: int, seed: int) -> None:
        self.images, self.labels, self.crop, self.views, self.seed = images, labels, crop, views, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, positions: Sequence[Position]) -> tuple[Tensor, Tensor, Tensor]:
        """One batch; torch's loader calls this with all positions of a batch at once."""
        views = np.stack([self._views(epoch, index) for epoch, index in positions], axis=1)
        indices = [index for _, index in positions]
        batch = torch.from_numpy(views).permute(0, 1, 4, 2, 3)  # channels last in memory, as the convolutions want it
        return batch, torch.tensor([self.labels[index] for index in indices]), torch.tensor(indices)

    def _views(self, epoch: int, index: int) -> np.ndarray:
        image = self.images.open(index)
        rng = np.random.default_rng((self.seed, epoch, index))
        return np.stack([np.asarray(self.crop(image, rng)) for _ in range(self.views)])


class Epochs(Sampler[list[Position]]):
    """Batches of positions, epoch after epoch, each epoch in its own seeded order; starts at any step."""

    def __init__(
        self, images: int, *, batch: int, epochs: int, seed: int, start: int = 0, part: tuple[int, int] = (0, 1)
    ) -> None:
        """`part`: which of how many equal parts of each batch is yielded, for several processes."""
        self.images, self.batch, self.epochs, self.seed, self.start = images, batch, epochs, seed, start
        self.part, self.parts = part
        self.steps_per_epoch = images // batch  # an incomplete last batch is dropped, as published

    def __len__(self) -> int:
        return self.steps_per_epoch * self.epochs - self.start

    def __iter__(self) -> Iterator[list[Position]]:
        for epoch in range(self.start // self.steps_per_epoch, self.epochs):
            order = np.random.default_rng((self.seed, epoch)).permutation(self.images)
            first = max(0, self.start - epoch * self.steps_per_epoch)
            for step in range(first, self.steps_per_epoch):
                chosen = order[step * self.batch : (step + 1) * self.batch]
                size = self.batch // self.parts
                yield [(epoch, int(index)) for index in chosen[self.part * size : (self.part + 1) * size]]


def loader(crops: Crops, batches: Sampler[list[Position]] | list[list[Position]], *, num_workers: int) -> DataLoader:
    """A loader over batches of positions; `num_workers` 0 loads in the process itself."""
    return DataLoader(crops, batch_sampler=batches, num_workers=num_workers, collate_fn=_as_is)  # type: ignore[arg-type]


def in_order(images: int, batch: int) -> list[list[Position]]:
    """All positions once, in order, the last batch as large as it comes."""
    return [[(0, index) for index in range(start, min(start + batch, images))] for start in range(0, images, batch)]


def _as_is(batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return batch
