"""ResNets (He et al. 2016, arXiv:1512.03385), as torchvision builds and names them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from pretrain.backbones import IMAGENET, PUBLISHED, SMALL, Architecture, Shapes, Variant, get, set_eps
from pretrain.core.errors import ConfigError

LAYERS = ("layer1", "layer2", "layer3", "layer4")
STRIDES = (1, 2, 2, 2)
"""Strides of the first block of `layer1` to `layer4`."""
UNDILATED = (1, 1, 1, 1)
SMALL_CONV1 = (64, 3, 3, 3)
"""Shape of the small stem's convolution."""
SHALLOWEST_BOTTLENECKS = 50
"""Depth from which on the blocks are bottlenecks."""

Dilation = int | tuple[int, ...]
"""The dilation of all blocks of a layer, or of each in turn."""


@dataclass(frozen=True)
class ResNet(Architecture):
    """A ResNet of torchvision's. Its maps are the outputs of `layer1` to `layer4`."""

    family: ClassVar[str] = "resnet"
    head: ClassVar[str] = "fc"
    parts: ClassVar[frozenset[str]] = frozenset({"conv1", "bn1", *LAYERS})
    names: ClassVar[re.Pattern[str]] = re.compile(r"(conv1|bn1|layer[1-4]\.\d+\.(conv[123]|bn[123]|downsample\.[01]))\.\w+")
    first: ClassVar[str] = "conv1.weight"
    features: ClassVar[str] = "the mean over the last feature map"
    stems: ClassVar[tuple[str, ...]] = (IMAGENET, SMALL)
    averages: ClassVar[bool] = True
    pyramid: ClassVar[bool] = True
    scale_free: ClassVar[bool] = True

    name: str
    width: int
    depth: int
    """Layers with weights, as in its name."""
    map_names: tuple[str, ...] = LAYERS

    @property
    def bottleneck(self) -> bool:
        """Whether its blocks have three convolutions, the strided 3 × 3 one between two of 1 × 1."""
        return self.depth >= SHALLOWEST_BOTTLENECKS

    def classifier(self, outputs: int, stem: str, size: int) -> nn.Module:
        """See `Architecture`. A small stem is drawn after everything else."""
        from torchvision import models  # for seconds, which planning a run does without

        model: nn.Module = getattr(models, self.name)(num_classes=outputs)
        if stem == SMALL:
            _make_stem_small(model)
        return model

    def zero_init_residual(self, trunk: nn.Module) -> None:
        """See `Architecture`: torchvision's option of that name, after the fact, which draws no number either."""
        for name in LAYERS:
            for block in getattr(trunk, name):
                nn.init.zeros_((block.bn3 if self.bottleneck else block.bn2).weight)

    def adapt(self, trunk: nn.Module, variant: Variant) -> None:
        """See `Architecture`; moves the strides of all bottlenecks that a module has."""
        if variant.stride_in_1x1 and not self.bottleneck:
            super().adapt(trunk, variant)
        from torchvision.models.resnet import Bottleneck

        for block in trunk.modules() if variant.stride_in_1x1 else ():
            if isinstance(block, Bottleneck):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
        set_eps(trunk, variant.eps)

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

    def stem_of(self, shapes: Shapes) -> str:
        """See `Architecture`."""
        return SMALL if shapes.get(self.first) == SMALL_CONV1 else IMAGENET

    def in_timm(self, shapes: Shapes) -> tuple[str, Mapping[str, Any]] | None:
        """See `Architecture`. timm has no stem for small images."""
        return (self.name, {}) if self.stem_of(shapes) == IMAGENET else None

    def fresh_norm(self, name: str, shape: tuple[int, ...]) -> float | None:
        """See `Architecture`. A convolution is drawn with variance 2 / (C_out · k²), k the kernel's side (He et al. 2015, by
        outputs), for each of its C_out · C_in · k² weights; the expected square norm is therefore 2 C_in.
        """
        return math.sqrt(2 * shape[1]) if len(shape) == 4 else None


def named(name: str) -> ResNet:
    """Return the ResNet of that name, for who needs its depth or changes its strides.

    Raises:
        ConfigError: If the architecture is unknown or no ResNet.
    """
    found = get(name)
    if not isinstance(found, ResNet):
        raise ConfigError(f"{name} is no ResNet", seen=name, allowed="an architecture whose maps are a ResNet's layers")
    return found


def set_strides(
    trunk: nn.Module, strides: Sequence[int], dilations: Sequence[Dilation], *, variant: Variant = PUBLISHED
) -> None:
    """Give a ResNet's layers a task's strides and dilations, in place.

    Args:
        trunk: A ResNet of torchvision's.
        strides: Strides of the first block of `layer1` to `layer4`.
        dilations: Dilations of the strided 3 × 3 convolution of every block of `layer1` to `layer4`. In a basic block that is
            the first of the two, as in MMSegmentation; torchvision's own takes none.
        variant: Of the network: says which convolution of a bottleneck is strided.
    """
    for layer, stride, dilation in zip(LAYERS, strides, dilations, strict=True):
        blocks: Any = getattr(trunk, layer)
        for index, block in enumerate(blocks):
            conv = block.conv2 if hasattr(block, "conv3") else block.conv1
            step = stride if index == 0 else 1
            apart = dilation if isinstance(dilation, int) else dilation[index]
            conv.stride, conv.dilation, conv.padding = (step, step), (apart, apart), (apart, apart)
            if variant.stride_in_1x1:
                block.conv1.stride, conv.stride = (step, step), (1, 1)
            if block.downsample is not None:
                block.downsample[0].stride = (step, step)


def _make_stem_small(model: nn.Module) -> None:
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
