"""ResNets (He et al. 2016, arXiv:1512.03385), as torchvision builds and names them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
import torchvision
from torch import Tensor, nn

from pretrain.backbones import IMAGENET, SMALL, Architecture

LAYERS = ("layer1", "layer2", "layer3", "layer4")
SMALL_CONV1 = (64, 3, 3, 3)
"""Shape of the small stem's convolution."""


@dataclass(frozen=True)
class ResNet(Architecture):
    """A ResNet of torchvision's. Its maps are the outputs of `layer1` to `layer4`."""

    name: str
    width: int
    depth: int
    """Layers with weights, as in its name."""
    stems: ClassVar[tuple[str, ...]] = (IMAGENET, SMALL)

    def build(self, outputs: int, *, stem: str = IMAGENET, size: int = 224) -> tuple[nn.Module, nn.Linear]:
        """See `Architecture`. The linear layer is torchvision's `fc`; a small stem is drawn after everything else."""
        model: nn.Module = getattr(torchvision.models, self.name)(num_classes=outputs)
        if stem == SMALL:
            small_stem(model)
        linear, model.fc = model.fc, nn.Identity()
        assert isinstance(linear, nn.Linear)
        return model, linear

    def network(self, state: Mapping[str, Tensor]) -> nn.Module:
        """See `Architecture`."""
        model: nn.Module = getattr(torchvision.models, self.name)()
        if self.stem_of(state) == SMALL:
            small_stem(model)
        model.fc = nn.Identity()
        model.load_state_dict(state, strict=True)
        return model.eval()

    def maps(self, trunk: nn.Module, images: Tensor) -> list[Tensor]:
        """See `Architecture`."""
        x = images
        for name in ("conv1", "bn1", "relu", "maxpool"):
            x = getattr(trunk, name)(x)
        outputs = []
        for layer in LAYERS:
            x = getattr(trunk, layer)(x)
            outputs.append(x)
        return outputs

    def map_names(self) -> tuple[str, ...]:
        """See `Architecture`."""
        return LAYERS

    def skeleton(self) -> Mapping[str, Tensor]:
        """See `Architecture`."""
        return _skeleton(self.name)

    def stem_of(self, state: Mapping[str, Tensor]) -> str:
        """See `Architecture`."""
        return SMALL if tuple(state["conv1.weight"].shape) == SMALL_CONV1 else IMAGENET

    def fresh_norm(self, name: str, tensor: Tensor) -> float | None:
        """See `Architecture`. A convolution is drawn with variance 2 / (C_out · k²), k the kernel's side (He et al. 2015, by
        outputs), for each of its C_out · C_in · k² weights; the expected square norm is therefore 2 C_in.
        """
        return math.sqrt(2 * tensor.shape[1]) if tensor.dim() == 4 else None


@cache
def _skeleton(name: str) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        model = getattr(torchvision.models, name)()
    return {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}


def small_stem(model: nn.Module) -> None:
    """Turn a ResNet's stem into the one for images of up to 64 pixels: a 3 × 3 convolution of stride 1, no pooling.

    Source: He et al. 2016 (arXiv:1512.03385), section 4.2, as in SimCLR's appendix B.9 (arXiv:2002.05709).
    """
    stem = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.conv1, model.maxpool = stem, nn.Identity()


RESNET18 = ResNet("resnet18", width=512, depth=18)
RESNET34 = ResNet("resnet34", width=512, depth=34)
RESNET50 = ResNet("resnet50", width=2048, depth=50)
RESNET101 = ResNet("resnet101", width=2048, depth=101)
