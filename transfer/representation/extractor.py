"""A backbone to take features from, with the preprocessing that its pre-training and our probes give it.

Shapes: N images, S side in pixels, D features, C channels of a map.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pretrain.backbones import PUBLISHED_SIZE
from pretrain.images import decode
from pretrain.images.crops import CentreCrop
from pretrain.inputs import normalised
from transfer.sources import Backbone


class Extractor(nn.Module):
    """A backbone as a module: normalised images (N, 3, S, S) → its pooled features (N, D).

    It comes in eval mode; its weights can be trained. `preprocess` makes of one image what it takes.
    """

    def __init__(self, backbone: Backbone, size: int = PUBLISHED_SIZE) -> None:
        """Build the network of a backbone, for crops of `size` × `size` pixels.

        Raises:
            ConfigError: If the architecture takes no images of that size.
        """
        super().__init__()
        backbone.architecture.require_size(size)
        self.backbone, self.size = backbone, size
        self.trunk = backbone.network()
        self.eval()

    @property
    def width(self) -> int:
        """Return D, the number of features."""
        return self.backbone.architecture.width

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features."""
        found: Tensor = self.trunk(images)
        return found

    def maps(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, early to late, each (N, C, h, w)."""
        return self.backbone.architecture.maps(self.trunk, images)

    def preprocess(self, image: Image.Image | Path | str) -> Tensor:
        """Make of an image (3, S, S), normalised: the central crop that every probe reads, in the network's order of channels.

        Raises:
            DataError: If the file is no image that can be decoded; names it.
        """
        pixels = pixels_of(image)
        crop = CentreCrop(self.size)
        (box,) = crop.boxes(np.array([[pixels.shape[2], pixels.shape[1]]]), np.empty(0))
        left, top, right, bottom = box.tolist()
        cut = crop.cut(pixels, (left, top, right, bottom))
        return normalised(cut.float() / 255, self.backbone.recipe.seen)[0].contiguous()


def pixels_of(image: Image.Image | Path | str) -> Tensor:
    """Decode an image to (3, H, W) uint8, as data loaders do.

    Raises:
        DataError: If the file is no image that can be decoded; names it.
    """
    if not isinstance(image, Image.Image):
        image = decode.opened(Path(image), str(image))
    name = str(getattr(image, "filename", "")) or "the image"
    return torch.from_numpy(np.array(decode.rgb(image, name))).permute(2, 0, 1)
