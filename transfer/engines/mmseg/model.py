"""The segmenter in MMSegmentation's own configuration: backbone, head and loss."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pretrain.backbones import Variant, get
from pretrain.backbones.resnet import ResNet
from transfer.datasets.segmentation import SegmentationData
from transfer.sources.recipe import USUAL, Recipe
from transfer.tasks.segmentation import (
    LAST_DILATION,
    OUTPUT_STRIDE,
    DeepLabV3Settings,
    FCNSettings,
    SegmentationSettings,
)

STRIDES, DILATIONS = (1, 2, 2, 1), (1, 1, 1, LAST_DILATION)
"""Strides and dilations of layer1 to layer4: output stride 16; under a multi-grid each block of layer4 has its own dilation."""
PYRAMID_HEAD = "PublishedASPPHead"
"""DeepLabV3's head as Detectron2 has it: `transfer.engines.mmseg.aspp`."""


def model(
    settings: SegmentationSettings,
    data: SegmentationData,
    arch: str,
    backbone: Path,
    *,
    synchronised: bool,
    recipe: Recipe = USUAL,
) -> dict[str, Any]:
    """Make the configuration of the segmenter.

    Args:
        backbone: Its file.
        synchronised: Whether the norms see the images of all processes.
        recipe: What the backbone sees, which of its convolutions are strided, and what its norms add.
    """
    # On one process BN over the batch is what synchronised BN over the same batch computes.
    norm = {"type": "SyncBN" if synchronised else "BN", "requires_grad": True}
    resnet = get(arch)
    assert isinstance(resnet, ResNet), "the table of engines refuses others"
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": list(recipe.seen.pixel_mean),
            "std": list(recipe.seen.pixel_std),
            "bgr_to_rgb": recipe.seen.order == "RGB",
            "pad_val": 0,
            "seg_pad_val": data.ignore,
            "size": settings.crop_size,
        },
        "pretrained": None,
        "backbone": _backbone(settings, resnet, norm, backbone, recipe.variant),
        "decode_head": {
            "in_channels": resnet.width,
            "in_index": 3,
            "channels": settings.head_channels,
            "dropout_ratio": 0.0,
            "num_classes": len(data.classes),
            "norm_cfg": norm,
            "ignore_index": data.ignore,
            **_loss(settings, data),
            **_head(settings),
        },
        "train_cfg": {},
        "test_cfg": _test(settings),
    }


def _backbone(
    settings: SegmentationSettings, resnet: ResNet, norm: dict[str, Any], weights: Path, variant: Variant
) -> dict[str, Any]:
    # MMSegmentation's factors take the place of the dilation.
    grid = {"multi_grid": settings.last_dilations} if set(settings.multi_grid) != {1} else {}
    return {
        "type": "ResNet",
        "depth": resnet.depth,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "strides": STRIDES,
        "dilations": DILATIONS,
        "contract_dilation": False,
        **grid,
        "style": "caffe" if variant.stride_in_1x1 else "pytorch",
        "norm_cfg": norm if variant.eps is None else norm | {"eps": variant.eps},
        "norm_eval": False,
        "init_cfg": {"type": "Pretrained", "checkpoint": str(weights)},
    }


def _test(settings: SegmentationSettings) -> dict[str, Any]:
    if settings.window_stride is None:
        return {"mode": "whole"}
    return {"mode": "slide", "crop_size": settings.crop_size, "stride": (settings.window_stride, settings.window_stride)}


def _head(settings: SegmentationSettings) -> dict[str, Any]:
    if isinstance(settings, FCNSettings):
        return _convolutions(settings)
    assert isinstance(settings, DeepLabV3Settings), "the other of the two families"
    return _pyramid(settings)


def _convolutions(settings: FCNSettings) -> dict[str, Any]:
    return {
        "type": "FCNHead",
        "num_convs": settings.head_convs,
        "dilation": settings.head_dilation,
        "concat_input": False,
        # The features of a 769 = 48 × 16 + 1 crop lie on its corners, as in MMSegmentation's configurations of that size.
        "align_corners": True,
    }


def _pyramid(settings: DeepLabV3Settings) -> dict[str, Any]:
    """Configure the head with its pooling window, a whole training crop, and with the initial classifier of Detectron2's."""
    return {
        "type": PYRAMID_HEAD,
        "dilations": (1, *(settings.head_dilation * times for times in (1, 2, 3))),
        "window": tuple(-(-side // OUTPUT_STRIDE) for side in settings.crop_size),
        "align_corners": False,
        "init_cfg": {"type": "Normal", "std": 0.001, "override": {"name": "conv_seg"}},
    }


def _loss(settings: SegmentationSettings, data: SegmentationData) -> dict[str, Any]:
    """Configure cross-entropy: the (weighted) mean over the pixels that count, as in PyTorch, or over the hardest pixels.

    NOTE: MMSegmentation divides by all pixels unless told, so that a padded crop weighs less. With class weights it divides
    by the weights of the pixels that count, and fails if told. What the hardest pixels leave of the sum is divided by all
    pixels, too: hence the weight of such a loss.
    """
    loss: dict[str, Any] = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
    if settings.class_balance:
        loss["class_weight"] = class_weights(data.pixels, settings.class_balance)
    if settings.hard_pixels == 1:
        return {"loss_decode": loss if settings.class_balance else loss | {"avg_non_ignore": True}}
    height, width = settings.crop_size
    kept = max(2, int(settings.hard_pixels * height * width))
    hardest = {"type": "OHEMPixelSampler", "min_kept": kept}
    return {"loss_decode": loss | {"loss_weight": 1 / settings.hard_pixels}, "sampler": hardest}


def class_weights(pixels: Sequence[int], power: float) -> list[float]:
    """Compute (median fraction / fraction)^power of each class, from its number of pixels; 1 for a class without any."""
    middle = median(count for count in pixels if count)
    return [round((middle / count) ** power, 6) if count else 1.0 for count in pixels]
