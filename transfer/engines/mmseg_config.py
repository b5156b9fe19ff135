"""The run as MMSegmentation's own configuration: plain values, from which the run can be repeated without this project."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pretrain.checkpoint import IMAGENET_MEAN, IMAGENET_STD
from transfer.datasets.cityscapes import IMAGE_SUFFIX, IMAGES, LABEL_SUFFIX, LABELS, Pair, SegmentationData
from transfer.engines.label_maps import palette
from transfer.tasks.cityscapes import SegmentationSettings

STRIDES, DILATIONS = (1, 2, 2, 1), (1, 1, 1, 2)
"""Of layer1 to layer4: output stride 16, every 3 × 3 convolution of layer4 dilated by 2."""
DEPTHS = {"resnet18": 18, "resnet34": 34, "resnet50": 50, "resnet101": 101}
BASIC_BLOCK_CHANNELS, BOTTLENECK_CHANNELS = 512, 2048
"""Channels of layer4, without and with bottlenecks (from depth 50 on)."""
ANY_LENGTH = 1_000_000
"""Limit of the long side that no image reaches: scaling then follows the short side alone."""


def native_config(
    settings: SegmentationSettings, data: SegmentationData, *, arch: str, backbone: Path, work: Path, seed: int
) -> dict[str, Any]:
    """MMSegmentation's configuration of a run.

    Args:
        backbone: File with the backbone's tensors under MMSegmentation's names.
        work: Folder of checkpoints and logs; holds `train.txt` and `val.txt` of `write_lists`.

    Returns:
        What `mmengine.runner.Runner.from_cfg` takes; training ends with an evaluation.
    """
    every = max(1, settings.iters)
    optimizer = {"type": "SGD", "lr": settings.lr, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
    return {
        "default_scope": "mmseg",
        "work_dir": str(work),
        "model": _model(settings, data, arch, backbone),
        "train_dataloader": _train_loader(settings, data, work),
        "val_dataloader": _val_loader(settings, data, work),
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": settings.iters, "val_interval": every},
        "val_cfg": {"type": "ValLoop"},
        "val_evaluator": {"type": "IoUMetric", "iou_metrics": ["mIoU"], "ignore_index": data.ignore},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": optimizer},
        "param_scheduler": _schedule(settings),
        "default_hooks": _hooks(settings),
        "log_processor": {"by_epoch": False},
        "visualizer": {"type": "Visualizer", "vis_backends": []},
        "randomness": {"seed": seed},
        "env_cfg": {"cudnn_benchmark": False, "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0}},
        "launcher": "none",
    }


def write_lists(settings: SegmentationSettings, data: SegmentationData, work: Path) -> int:
    """Write the image lists that the configuration names; returns the number of validation images in them."""
    val = spread(data.val, settings.max_val_images)
    for split, pairs in (("train", data.train), ("val", val)):
        names = (pair.image.relative_to(data.root / IMAGES / split).as_posix() for pair in pairs)
        (work / f"{split}.txt").write_text("".join(name.removesuffix(IMAGE_SUFFIX) + "\n" for name in names), encoding="utf-8")
    return len(val)


def spread(pairs: tuple[Pair, ...], most: int | None) -> tuple[Pair, ...]:
    """At most that many pairs, evenly spread: the list is sorted by city, and its head would be a single one."""
    if most is None or most >= len(pairs):
        return pairs
    return tuple(pairs[index * len(pairs) // most] for index in range(most))


def _model(settings: SegmentationSettings, data: SegmentationData, arch: str, backbone: Path) -> dict[str, Any]:
    # On one process BN over the batch is what synchronised BN over the same batch computes.
    norm = {"type": "BN", "requires_grad": True}
    depth = DEPTHS[arch]
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [255 * value for value in IMAGENET_MEAN],
            "std": [255 * value for value in IMAGENET_STD],
            "bgr_to_rgb": True,
            "pad_val": 0,
            "seg_pad_val": data.ignore,
            "size": (settings.crop, settings.crop),
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
            "style": "pytorch",
            "norm_cfg": norm,
            "norm_eval": False,
            "init_cfg": {"type": "Pretrained", "checkpoint": str(backbone)},
        },
        "decode_head": {
            "type": "FCNHead",
            "in_channels": BOTTLENECK_CHANNELS if depth >= DEPTHS["resnet50"] else BASIC_BLOCK_CHANNELS,
            "in_index": 3,
            "channels": settings.head_channels,
            "num_convs": 2,
            "dilation": settings.head_dilation,
            "concat_input": False,
            "dropout_ratio": 0.0,
            "num_classes": len(data.classes),
            "norm_cfg": norm,
            # The features of a 769 = 48 × 16 + 1 crop lie on its corners, as in MMSegmentation's configurations of that size.
            "align_corners": True,
            "ignore_index": data.ignore,
            "loss_decode": _loss(settings, data),
        },
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }


def _loss(settings: SegmentationSettings, data: SegmentationData) -> dict[str, Any]:
    """Cross-entropy, the (weighted) mean over the pixels that count, as PyTorch has it; the paper says no more.

    NOTE: MMSegmentation divides by all pixels unless told, so that a padded crop weighs less. With class weights it divides
    by the weights of the pixels that count, and fails if told.
    """
    loss: dict[str, Any] = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
    if settings.class_balance:
        return loss | {"class_weight": class_weights(data.pixels, settings.class_balance)}
    return loss | {"avg_non_ignore": True}


def class_weights(pixels: Sequence[int], power: float) -> list[float]:
    """(median share / share)^power for each class, from its number of pixels; 1 for a class without any."""
    middle = median(count for count in pixels if count)
    return [round((middle / count) ** power, 6) if count else 1.0 for count in pixels]


def _schedule(settings: SegmentationSettings) -> list[dict[str, Any]]:
    drops: dict[str, Any] = {"type": "MultiStepLR", "by_epoch": False, "gamma": settings.lr_factor}
    drops["milestones"] = list(settings.steps)
    if not settings.warmup_iters:
        return [drops]
    return [{"type": "LinearLR", "by_epoch": False, "start_factor": 0.1, "end": settings.warmup_iters}, drops]


def _hooks(settings: SegmentationSettings) -> dict[str, Any]:
    checkpoint = {"type": "CheckpointHook", "by_epoch": False, "interval": settings.checkpoint_every, "max_keep_ckpts": 1}
    return {
        "runtime_info": {"type": "RuntimeInfoHook"},
        "timer": {"type": "IterTimerHook"},
        "logger": {"type": "LoggerHook", "interval": 50, "log_metric_by_epoch": False},
        "param_scheduler": {"type": "ParamSchedulerHook"},
        "checkpoint": checkpoint,
        "sampler_seed": {"type": "DistSamplerSeedHook"},
    }


def _train_loader(settings: SegmentationSettings, data: SegmentationData, work: Path) -> dict[str, Any]:
    # NOTE: random scaling starts from one short side for the whole set, as in MMSegmentation's configuration of Cityscapes,
    # where every image has the same.
    short_side = settings.short_side or data.short_side
    pipeline: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "RandomResize", "scale": (ANY_LENGTH, short_side), "ratio_range": settings.scale, "keep_ratio": True},
        {"type": "RandomCrop", "crop_size": (settings.crop, settings.crop), "ignore_index": data.ignore},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PackSegInputs"},
    ]
    return {
        "batch_size": settings.batch,
        "num_workers": settings.num_workers,
        "persistent_workers": settings.num_workers > 0,
        "sampler": {"type": "InfiniteSampler", "shuffle": True},
        "dataset": _dataset(data, "train", work, pipeline),
    }


def _val_loader(settings: SegmentationSettings, data: SegmentationData, work: Path) -> dict[str, Any]:
    resize: dict[str, Any] = {"type": "Resize", "scale": (ANY_LENGTH, settings.short_side), "keep_ratio": True}
    pipeline: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile"},
        *([resize] if settings.short_side else []),
        {"type": "LoadAnnotations"},  # after the resizing, so that the truth keeps its own size
        {"type": "PackSegInputs"},
    ]
    return {
        "batch_size": 1,
        "num_workers": settings.num_workers,
        "persistent_workers": settings.num_workers > 0,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": _dataset(data, "val", work, pipeline),
    }


def _dataset(data: SegmentationData, split: str, work: Path, pipeline: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "BaseSegDataset",
        "data_root": str(data.root),
        "data_prefix": {"img_path": f"{IMAGES}/{split}", "seg_map_path": f"{LABELS}/{split}"},
        "ann_file": str(work / f"{split}.txt"),
        "img_suffix": IMAGE_SUFFIX,
        "seg_map_suffix": LABEL_SUFFIX,
        "metainfo": {"classes": data.classes, "palette": palette(len(data.classes))},
        "ignore_index": data.ignore,
        "reduce_zero_label": False,
        "pipeline": pipeline,
        "test_mode": split == "val",
    }
