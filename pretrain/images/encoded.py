"""Batches of JPEGs that a GPU decodes and crops (`decode: gpu`): for machines with few cores to each GPU.

The workers read files and draw boxes as ever. What the GPU's decoder may refuse, or decode otherwise than is said here, they
decode and crop themselves: progressive files and those cut short, CMYK and other colours, other formats.

NOTE: the decoder's pixels are not libjpeg's, where colours have half the resolution; images are not decoded at a fraction of
their size; boxes are resized in fp32, not in fixed-point numbers. So the setting is part of a run's identity.

Shapes: N images of a batch, of which G are for the GPU; V views, S side of a view in pixels.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pretrain.core.errors import ConfigError
from pretrain.core.upload import upload
from pretrain.images import resample
from pretrain.images.crops import Crop
from pretrain.images.decode import Picture, sequential_jpeg
from pretrain.images.loading import Batch, Crops, Decodable, Position

AT_ONCE = 2**23
"""Pixels cropped at once, of boxes that are padded to the largest among them (32 of 500 × 500): in fp32 a whole batch, or a few
photographs of 20 million pixels, would fill gigabytes."""


@dataclass(frozen=True)
class Encoded:
    """The crops of a batch, before they are made."""

    files: Tensor
    """The files of G images one after another, on the CPU, uint8."""
    lengths: list[int]
    """Bytes of each."""
    names: list[str]
    """Of the same images, for errors."""
    rows: list[int]
    """Their places in the batch."""
    boxes: list[np.ndarray]
    """V of (G, 4), whole pixels."""
    crops: list[Crop]
    """How each view is cut."""
    others: list[Tensor]
    """V of (N - G, 3, S, S) uint8: the crops of all other images, in their order."""

    def pin_memory(self) -> "Encoded":
        """Return the same in pinned memory, for torch's loader; files are decoded from any."""
        return replace(self, others=[crops.pin_memory() for crops in self.others])

    @cached_property
    def data(self) -> list[Tensor]:
        """The file of each of the G images."""
        return list(self.files.split(self.lengths)) if self.lengths else []

    def made(self, device: str) -> list[Tensor]:
        """Decode and crop on a device: V of (N, 3, S, S) uint8, channels last in memory, as the loader would give them.

        Raises:
            DataError: If a file can't be decoded, on the device nor on the CPU; names it.
        """
        images = self._decoded(torch.device(device))
        places = [*self.rows, *sorted(set(range(len(self.rows) + len(self.others[0]))) - set(self.rows))]
        order = upload(torch.tensor(places, dtype=torch.long).argsort(), torch.device(device))
        views = []
        for crop, boxes, others in zip(self.crops, self.boxes, self.others, strict=True):
            parts = [resample.cropped(images[some], boxes[some], crop.size, crop.resize) for some in at_once(boxes)]
            parts += [others.to(device, non_blocking=True)] if len(others) else []
            views.append(torch.cat(parts)[order].contiguous(memory_format=torch.channels_last))
        return views

    def _decoded(self, device: torch.device) -> list[Tensor]:
        """Decode the G images, (3, H, W) uint8; where the decoder refuses one, each by itself."""
        if not self.data:
            return []
        decode = decoder()
        assert decode is not None  # see `require_decoder`
        with contextlib.suppress(RuntimeError):
            return decode(self.data, device)
        return [self._alone(number, decode, device) for number in range(len(self.data))]

    def _alone(self, number: int, decode: "Decoder", device: torch.device) -> Tensor:
        with contextlib.suppress(RuntimeError):
            return decode([self.data[number]], device)[0]
        return Picture(self.data[number].numpy().tobytes(), self.names[number]).pixels().to(device)


def at_once(boxes: np.ndarray) -> Iterator[slice]:
    """Cut the boxes (G, 4) of images into stretches of `AT_ONCE` pixels at most, padded to the largest, or of one box."""
    start = widest = highest = 0
    for place, (left, top, right, bottom) in enumerate(boxes.tolist()):
        width, height = max(widest, right - left), max(highest, bottom - top)
        if place > start and (place + 1 - start) * width * height > AT_ONCE:
            yield slice(start, place)
            start, width, height = place, right - left, bottom - top
        widest, highest = width, height
    if len(boxes):
        yield slice(start, len(boxes))


Decoder = Callable[[list[Tensor], torch.device], list[Tensor]]


@cache
def decoder() -> Decoder | None:
    """Return what decodes files on a GPU: their bytes, on the CPU → (3, H, W) uint8 of each, there. All or RuntimeError.

    It is torchvision's operator, as in `pretrain.images.decode.jpeg_decoder`; None if a release dropped it.
    """
    from torchvision.io import ImageReadMode

    operator = getattr(torch.ops.image, "decode_jpegs_cuda", None)
    return None if operator is None else lambda files, device: operator(files, ImageReadMode.RGB.value, device)


def require_decoder(device: str) -> None:
    """Refuse a device that decodes no JPEGs.

    Raises:
        ConfigError: What to do without.
    """
    if device == "cpu" or decoder() is None:
        seen = device if device == "cpu" else "a torchvision without nvJPEG"
        raise ConfigError("no GPU decodes JPEGs here", seen=seen, allowed="a CUDA device", fix="--set decode=cpu")


class EncodedCrops(Crops):
    """A data set whose items are batches of crops that are not made yet, wherever a GPU can make them."""

    def _batch(self, positions: Sequence[Position], indices: Sequence[int]) -> Batch:
        pictures = [self.images.picture(index) for index in indices]
        boxes, factors = self._boxes(positions, pictures)
        there = [row for row, picture in enumerate(pictures) if _for_gpu(picture)]
        here = sorted(set(range(len(pictures))) - set(there))
        cut = [self._cut(pictures[row], factors[row], [view[row].tolist() for view in boxes]) for row in here]
        files = [cast(Picture, pictures[row]) for row in there]
        encoded = Encoded(
            files=torch.from_numpy(np.frombuffer(b"".join(each.data for each in files), np.uint8).copy()),
            lengths=[len(each.data) for each in files],
            names=[each.name for each in files],
            rows=there,
            boxes=[view[there] for view in boxes],
            crops=[cast(Crop, crop) for crop in self.crops],
            others=[torch.cat(view) for view in zip(*cut, strict=True)]
            or [torch.empty(0, 3, crop.size, crop.size, dtype=torch.uint8) for crop in self.crops],
        )
        return cast(list[Tensor], encoded), torch.tensor([self.labels[i] for i in indices]), torch.tensor(indices)


def on_device(crops: "Sequence[Tensor] | Encoded", device: str) -> list[Tensor]:
    """Return the crops of a batch on a device, V of (N, 3, S, S) uint8, decoded there if they are not yet."""
    if isinstance(crops, Encoded):
        return crops.made(device)
    return [crop.to(device, non_blocking=True) for crop in crops]


def _for_gpu(picture: Decodable) -> bool:
    return isinstance(picture, Picture) and sequential_jpeg(picture.data)
