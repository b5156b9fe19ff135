"""The segmenter in MMSegmentation's own configuration: backbone, head and loss."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pretrain.images.normalise import PIXEL_MEAN, PIXEL_STD
from transfer.datasets.cityscapes import SegmentationData
from transfer.tasks.cityscapes import LAST_DILATION, OUTPUT_STRIDE, SegmentationSettings

STRIDES, DILATIONS = (1, 2, 2, 1), (1, 1, 1, LAST_DILATION)
"""Of layer1 to layer4: output stride 16, every 3 × 3 convolution of layer4 dilated; under a multi-grid each by its factor."""
PYRAMID_HEAD = "PublishedASPPHead"
"""DeepLabV3's head as Detectron2 has it: `transfer.engines.mmseg.engine.register_heads`."""
DEPTHS = {"resnet18": 18, "resnet34": 34, "resnet50": 50, "resnet101": 101}
BASIC_BLOCK_CHANNELS, BOTTLENECK_CHANNELS = 512, 2048
"""Channels of layer4, without and with bottlenecks (from depth 50 on)."""


def model(
    settings: SegmentationSettings, data: SegmentationData, arch: str, backbone: Path, *, synchronised: bool
) -> dict[str, Any]:
    """The segmenter; `synchronised`: whether its norms see the images of all processes."""
    # On one process BN over the batch is what synchronised BN over the same batch computes.
    norm = {"type": "SyncBN" if synchronised else "BN", "requires_grad": True}
    depth = DEPTHS[arch]
    # MMSegmentation's factors take the place of the dilation.
    grid = {"multi_grid": settings.last_dilations} if set(settings.multi_grid) != {1} else {}
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": list(PIXEL_MEAN),
            "std": list(PIXEL_STD),
            "bgr_to_rgb": True,
            "pad_val": 0,
            "seg_pad_val": data.ignore,
            "size": settings.crop_size,
        },
        "pretrained": None,
        "backbone": {
            "type": "ResNet",
            "depth": depth,
            "num_stages": 4,
            "out_indices": (0, 1, 2, 3),
            "strides": STRIDES,
            "dilations": DILATIONS,
            "contract_dilation": False,
            **grid,
            "style": "pytorch",
            "norm_cfg": norm,
            "norm_eval": False,
            "init_cfg": {"type": "Pretrained", "checkpoint": str(backbone)},
        },
        "decode_head": {
            "in_channels": BOTTLENECK_CHANNELS if depth >= DEPTHS["resnet50"] else BASIC_BLOCK_CHANNELS,
            "in_index": 3,
            "channels": settings.head_channels,
            "dropout_ratio": 0.0,
            "num_classes": len(data.classes),
            "norm_cfg": norm,
            "ignore_index": data.ignore,
            **_loss(settings, data),
            **(_convolutions(settings) if settings.family == "fcn" else _pyramid(settings)),
        },
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }


def _convolutions(settings: SegmentationSettings) -> dict[str, Any]:
    return {
        "type": "FCNHead",
        "num_convs": 2,
        "dilation": settings.head_dilation,
        "concat_input": False,
        # The features of a 769 = 48 × 16 + 1 crop lie on its corners, as in MMSegmentation's configurations of that size.
        "align_corners": True,
    }


def _pyramid(settings: SegmentationSettings) -> dict[str, Any]:
    """The head with its window of pooling, a whole training crop, and with the initial classifier of Detectron2's."""
    return {
        "type": PYRAMID_HEAD,
        "dilations": (1, *(settings.head_dilation * times for times in (1, 2, 3))),
        "window": tuple(-(-side // OUTPUT_STRIDE) for side in settings.crop_size),
        "align_corners": False,
        "init_cfg": {"type": "Normal", "std": 0.001, "override": {"name": "conv_seg"}},
    }


def _loss(settings: SegmentationSettings, data: SegmentationData) -> dict[str, Any]:
    """Cross-entropy, the (weighted) mean over the pixels that count, as PyTorch has it; or over the hardest of all pixels.

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
    """(median share / share)^power for each class, from its number of pixels; 1 for a class without any."""
    middle = median(count for count in pixels if count)
    return [round((middle / count) ** power, 6) if count else 1.0 for count in pixels]
