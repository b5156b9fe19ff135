"""What erased pixels become: one choice for all augmentations that erase."""

from typing import Literal

import torch
from torch import Generator, Tensor

Fill = Literal["zero", "mean", "noise"]
"""`zero`: the data set's mean colour, which is 0 after normalisation. `mean`: the image's own mean colour.
`noise`: N(0, 1) for each pixel and channel after normalisation, as in torchvision's RandomErasing."""


def filled(images: Tensor, erased: Tensor, fill: Fill, rng: Generator) -> Tensor:
    """The images with something else where `erased`.

    Args:
        images: (N, 3, H, W), normalised. Not modified.
        erased: (N, 1, H, W), true where pixels go.
        fill: What comes instead.
        rng: Of the noise; nothing is drawn from it for the other fills.

    Returns:
        (N, 3, H, W).
    """
    if fill == "zero":
        return images.masked_fill(erased, 0.0)
    if fill == "mean":
        return torch.where(erased, images.mean(dim=(2, 3), keepdim=True), images)
    return torch.where(erased, torch.empty_like(images).normal_(generator=rng), images)
