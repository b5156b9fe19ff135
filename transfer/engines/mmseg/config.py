"""The run as MMSegmentation's own configuration: plain values, from which the run can be repeated without this project."""

from pathlib import Path
from typing import Any

from pretrain.core.distributed import divided
from transfer.datasets.cityscapes import IMAGE_SUFFIX, IMAGES, LABEL_SUFFIX, LABELS, Pair, SegmentationData
from transfer.engines.mmseg.model import model
from transfer.segmentation.label_maps import palette
from transfer.tasks.cityscapes import SegmentationSettings

ANY_LENGTH = 1_000_000
"""Limit of the long side that no image reaches: scaling then follows the short side alone."""


def native_config(
    settings: SegmentationSettings,
    data: SegmentationData,
    *,
    arch: str,
    backbone: Path,
    work: Path,
    seed: int,
    device: str = "cpu",
    processes: int = 1,
) -> dict[str, Any]:
    """MMSegmentation's configuration of a run.

    Args:
        backbone: File with the backbone's tensors under MMSegmentation's names.
        work: Folder of checkpoints and logs; holds `train.txt` and `val.txt` of `write_lists`.
        device: `cpu` or `cuda`, on which several processes normalise and speak differently.
        processes: That share every batch.

    Returns:
        What `mmengine.runner.Runner.from_cfg` takes; training ends with an evaluation.

    Raises:
        ConfigError: If the processes can't share a batch evenly.
    """
    every = max(1, settings.iters)
    evaluator: dict[str, Any] = {"type": "IoUMetric", "iou_metrics": ["mIoU"], "ignore_index": data.ignore}
    config = {
        "default_scope": "mmseg",
        "work_dir": str(work),
        "model": model(settings, data, arch, backbone, synchronised=processes > 1 and device != "cpu"),
        "train_dataloader": _train_loader(settings, data, work, divided(settings.batch, processes)),
        "val_dataloader": _val_loader(settings, data, work),
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": settings.iters, "val_interval": every},
        "val_cfg": {"type": "ValLoop"},
        "val_evaluator": evaluator,
        "optim_wrapper": _optimiser(settings),
        "param_scheduler": _schedule(settings),
        "default_hooks": _hooks(settings),
        "log_processor": {"by_epoch": False},
        "visualizer": {"type": "Visualizer", "vis_backends": []},
        "randomness": {"seed": seed},
        "env_cfg": {"cudnn_benchmark": False, "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0}},
        "launcher": "none",
    }
    return config if processes == 1 else config | _for_several(evaluator, seed, device)


def _for_several(evaluator: dict[str, Any], seed: int, device: str) -> dict[str, Any]:
    """What several processes change: each draws its own crops, and what they find is gathered in memory."""
    wrapper: dict[str, Any] = {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    return {
        "launcher": "pytorch",
        "model_wrapper_cfg": wrapper | ({"device_ids": None} if device == "cpu" else {}),
        "randomness": {"seed": seed, "diff_rank_seed": True},
        "val_evaluator": evaluator | {"collect_device": "gpu"},  # its other way is by files in the working directory
        "custom_hooks": [{"type": "SyncBuffersHook"}],
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


def _optimiser(settings: SegmentationSettings) -> dict[str, Any]:
    plain = {"type": "SGD", "lr": settings.lr, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
    wrapper: dict[str, Any] = {"type": "OptimWrapper", "optimizer": plain}
    return wrapper if settings.norm_decay else wrapper | {"paramwise_cfg": {"norm_decay_mult": 0.0}}


def _schedule(settings: SegmentationSettings) -> list[dict[str, Any]]:
    """Factors of the learning rate that multiply. NOTE: mmengine's `end` is one past the iteration that ends."""
    falls: dict[str, Any] = {"type": "MultiStepLR", "by_epoch": False, "gamma": settings.lr_factor}
    falls["milestones"] = list(settings.steps)
    if settings.poly_power is not None:
        falls = {"type": "PolyLR", "by_epoch": False, "power": settings.poly_power, "eta_min": 0.0, "end": settings.iters + 1}
    if not settings.warmup_iters:
        return [falls]
    rises = {"type": "LinearLR", "by_epoch": False, "start_factor": settings.warmup_factor, "end": settings.warmup_iters + 1}
    return [rises, falls]


def _hooks(settings: SegmentationSettings) -> dict[str, Any]:
    # For who runs this configuration without us; `transfer.engines.mmseg.watch.Checkpoints` takes its place.
    checkpoint = {"type": "CheckpointHook", "by_epoch": False, "interval": settings.checkpoint_every, "max_keep_ckpts": 1}
    return {
        "runtime_info": {"type": "RuntimeInfoHook"},
        "timer": {"type": "IterTimerHook"},
        "logger": {"type": "LoggerHook", "interval": 50, "log_metric_by_epoch": False},
        "param_scheduler": {"type": "ParamSchedulerHook"},
        "checkpoint": checkpoint,
        "sampler_seed": {"type": "DistSamplerSeedHook"},
    }


def _train_loader(settings: SegmentationSettings, data: SegmentationData, work: Path, batch: int) -> dict[str, Any]:
    # NOTE: random scaling starts from one short side for the whole set, as in MMSegmentation's configuration of Cityscapes,
    # where every image has the same.
    short_side = settings.short_side or data.short_side
    pipeline: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile", "imdecode_backend": "pillow"},  # OpenCV fills up a truncated image, and goes on
        {"type": "LoadAnnotations"},
        _scaling(settings, short_side),
        {"type": "RandomCrop", "crop_size": settings.crop_size, "ignore_index": data.ignore},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PackSegInputs"},
    ]
    return {
        "batch_size": batch,
        "num_workers": settings.num_workers,
        "persistent_workers": settings.num_workers > 0,
        "sampler": {"type": "InfiniteSampler", "shuffle": True},
        "dataset": _dataset(data, "train", work, pipeline),
    }


def _scaling(settings: SegmentationSettings, short_side: int) -> dict[str, Any]:
    if settings.scale_choices is None:
        return {
            "type": "RandomResize",
            "scale": (ANY_LENGTH, short_side),
            "ratio_range": settings.scale,
            "keep_ratio": True,
        }
    sides = [(ANY_LENGTH, round(short_side * scale)) for scale in settings.scales]
    return {"type": "RandomChoiceResize", "scales": sides, "keep_ratio": True}


def _val_loader(settings: SegmentationSettings, data: SegmentationData, work: Path) -> dict[str, Any]:
    resize: dict[str, Any] = {"type": "Resize", "scale": (ANY_LENGTH, settings.short_side), "keep_ratio": True}
    pipeline: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile", "imdecode_backend": "pillow"},  # OpenCV fills up a truncated image, and goes on
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
