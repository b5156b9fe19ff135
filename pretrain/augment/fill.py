"""What erased pixels become: one choice for all augmentations that erase.

Shapes: N images, H rows, W columns.
"""

from typing import Literal

import torch
from torch import Generator, Tensor

from pretrain.core.upload import generator_on

Fill = Literal["zero", "mean", "noise"]
"""`zero`: the data set's mean colour, which is 0 after normalisation. `mean`: the image's own mean colour.
`noise`: N(0, 1) for each pixel and channel after normalisation, as in torchvision's RandomErasing."""


def filled(images: Tensor, erased: Tensor, fill: Fill, rng: Generator) -> Tensor:
    """Copy the images and replace the erased pixels.

    Args:
        images: (N, 3, H, W), normalised. Not modified.
        erased: (N, 1, H, W), true where pixels are replaced.
        fill: What they become.
        rng: Source of the noise; the other fills draw nothing from it.

    Returns:
        (N, 3, H, W).
    """
    if fill == "zero":
        return images.masked_fill(erased, 0.0)
    if fill == "mean":
        return torch.where(erased, images.mean(dim=(2, 3), keepdim=True), images)
    return torch.where(erased, torch.empty_like(images).normal_(generator=generator_on(images.device, rng)), images)
