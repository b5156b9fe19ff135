"""What a network sees of an image: in which order its channels, and with which mean and deviation normalised."""

from dataclasses import dataclass
from typing import Literal

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""For pixels of 0 to 1 (torchvision's published models)."""

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Input:
    """What a network sees: (x − mean) / deviation of pixels of 0 to 1, by channel.

    A network for pixels of 0 to 255 has a deviation 255 times as small: Caffe's, which takes BGR less its mean, is
    `Input("BGR", (103.53 / 255, ...), (1 / 255, ...))`. What is trained here sees `IMAGENET`.
    """

    order: Literal["RGB", "BGR"] = "RGB"
    mean: Channels = IMAGENET_MEAN
    """In that order, as the deviation."""
    std: Channels = IMAGENET_STD

    @property
    def pixel_mean(self) -> Channels:
        """The mean of pixels of 0 to 255."""
        return _to_pixels(self.mean)

    @property
    def pixel_std(self) -> Channels:
        """The deviation of pixels of 0 to 255."""
        return _to_pixels(self.std)

    @property
    def channels(self) -> tuple[int, int, int]:
        """Indices of the channels of an RGB image, in the order in which the network takes them."""
        return (0, 1, 2) if self.order == "RGB" else (2, 1, 0)


def _to_pixels(values: Channels) -> Channels:
    red, green, blue = (round(value * 255, 6) for value in values)
    return red, green, blue


IMAGENET = Input()
PIXEL_MEAN, PIXEL_STD = IMAGENET.pixel_mean, IMAGENET.pixel_std
"""The same for pixels of 0 to 255: (123.675, 116.28, 103.53) and (58.395, 57.12, 57.375)."""
