"""Images and their objects as the detector sees them: order, resizing, flipping (`data/dataset_mapper.py`).

Everything random is a function of (seed, stream, count), so that a resumed run continues with the same images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from pretrain.core.workers import Loader
from transfer.datasets.objects import Mask, Picture, read_image
from transfer.detection import masks as mask_ops
from transfer.engines.torchvision.rpn import Target
from transfer.tasks.detection import DetectionSettings

ORDER, AUGMENT, SAMPLING, STATISTICS = range(4)
"""Streams of random numbers: the order of images, their size and flip, the sampled regions, images for precise BN."""
FLIP_PROBABILITY = 0.5
SMALLEST_SIDE = 1e-5
"""Pixels of the shortest side of an object in the resized image; a thinner one is left out."""

Draw = tuple[int, int]
"""Number of the draw, and index of the image drawn."""


@dataclass(frozen=True)
class Sample:
    """One image for the detector."""

    image: Tensor
    """Pixels (3, height, width), RGB, uint8."""
    target: Target
    """Its objects; empty for a test image."""
    masks: tuple[mask_ops.SeenMask, ...] = ()
    """Mask of each object, where masks are trained."""

    def to(self, device: torch.device) -> "Sample":
        """Move its tensors to a device; masks are cropped on the CPU."""
        target = Target(self.target.boxes.to(device), self.target.labels.to(device))
        return Sample(self.image.to(device), target, self.masks)


def random(seed: int, stream: int, count: int) -> np.random.Generator:
    """Make the random generator of one draw or step."""
    return np.random.default_rng((seed, stream, count))


def torch_random(seed: int, stream: int, count: int) -> torch.Generator:
    """Make torch's random generator of one draw or step, on the CPU."""
    return torch.Generator().manual_seed(int(random(seed, stream, count).integers(2**62)))


def batches(pictures: Sequence[Picture], batch: int, seed: int, stream: int = ORDER) -> Iterator[list[Draw]]:
    """Yield batches endlessly, each of only wide or only tall images, so that little is padded.

    Like Detectron2's, a batch is formed as soon as enough images of its kind have come up in the shuffled order.
    """
    waiting: tuple[list[Draw], list[Draw]] = ([], [])
    for draw in _draws(len(pictures), seed, stream):
        picture = pictures[draw[1]]
        group = waiting[picture.width > picture.height]
        group.append(draw)
        if len(group) == batch:
            yield list(group)
            group.clear()


def _draws(images: int, seed: int, stream: int) -> Iterator[Draw]:
    epoch = 0
    while True:
        for position, index in enumerate(random(seed, stream, epoch).permutation(images)):
            yield epoch * images + position, int(index)
        epoch += 1


class TrainingImages(Dataset[Sample]):
    """The training images, decoded, resized and flipped as they are drawn."""

    def __init__(self, pictures: Sequence[Picture], settings: DetectionSettings, seed: int) -> None:
        self.pictures, self.settings, self.seed = pictures, settings, seed

    def __getitem__(self, draw: Draw) -> Sample:
        """Make the sample of one draw."""
        count, index = draw
        numbers = random(self.seed, AUGMENT, count)
        short = int(numbers.choice(self.settings.min_sizes))
        flip = bool(numbers.random() < FLIP_PROBABILITY)
        return training_sample(self.pictures[index], short, self.settings.max_size, flip, masks=self.settings.masks)


def loader(pictures: Sequence[Picture], settings: DetectionSettings, order: Iterator[list[Draw]], seed: int) -> Loader[Sample]:
    """Load the samples of the batches in `order`."""
    return Loader(
        TrainingImages(pictures, settings, seed),
        batch_sampler=order,
        num_workers=settings.num_workers,
        collate_fn=list,
        generator=torch.Generator().manual_seed(0),
    )


def training_sample(picture: Picture, short: int, longest: int, flip: bool, *, masks: bool) -> Sample:
    """Read an image and its objects, resized to a short side in pixels and possibly mirrored."""
    image = read_image(picture)
    height, width = resized_shape(picture.height, picture.width, short, longest)
    pixels = resize(image, height, width)
    scale = (width / picture.width, height / picture.height)
    kept = np.flatnonzero(picture.trainable)
    boxes = np.clip(_boxes(picture.boxes[kept], scale, width, flip), 0, [width, height, width, height]).astype(np.float32)
    whole = ((boxes[:, 2:] - boxes[:, :2]) > SMALLEST_SIDE).all(axis=1)
    seen: tuple[mask_ops.SeenMask, ...] = ()
    if masks and picture.masks is not None:
        trained = [mask for i in kept[whole] if (mask := picture.masks[i]) is not None]
        seen = tuple(_mask(mask, scale, height, width, flip) for mask in trained)
    target = Target(torch.from_numpy(boxes[whole]), torch.from_numpy(picture.labels[kept[whole]]))
    return Sample(as_tensor(pixels[:, ::-1] if flip else pixels), target, seen)


def resized_shape(height: int, width: int, short: int, longest: int) -> tuple[int, int]:
    """Compute (height, width) with that short side, or with that long side where it would be longer."""
    scale = short / min(height, width)
    new_height, new_width = (float(short), scale * width) if height < width else (scale * height, float(short))
    if max(new_height, new_width) > longest:
        shrink = longest / max(new_height, new_width)
        new_height, new_width = new_height * shrink, new_width * shrink
    return int(new_height + 0.5), int(new_width + 0.5)


def resize(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """Resize to (height, width, 3) by PIL's bilinear filter, which averages when it shrinks."""
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn (height, width, 3) into (3, height, width)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _boxes(boxes: NDArray[np.float32], scale: tuple[float, float], width: int, flip: bool) -> NDArray[np.float64]:
    left, top, right, bottom = (boxes.astype(np.float64) * (*scale, *scale)).T
    return np.stack([width - right, top, width - left, bottom] if flip else [left, top, right, bottom], axis=1)


def _mask(mask: Mask, scale: tuple[float, float], height: int, width: int, flip: bool) -> mask_ops.SeenMask:
    if isinstance(mask, tuple):
        return tuple(_polygon(polygon, scale, width, flip) for polygon in mask)
    pixels = Image.fromarray(mask_ops.decode(mask)).resize((width, height), Image.Resampling.NEAREST)
    return np.ascontiguousarray(np.asarray(pixels)[:, ::-1] if flip else np.asarray(pixels))


def _polygon(polygon: NDArray[np.float64], scale: tuple[float, float], width: int, flip: bool) -> NDArray[np.float64]:
    points = polygon.reshape(-1, 2) * scale
    if flip:
        points[:, 0] = width - points[:, 0]
    return points.ravel()
