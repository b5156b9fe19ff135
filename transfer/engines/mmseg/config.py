"""Write a run as MMSegmentation's own configuration: plain values, from which it can be repeated without this project."""

from pathlib import Path
from typing import Any

from pretrain.core.distributed import divided
from transfer.datasets.segmentation import SegmentationData
from transfer.engines.mmseg.loaders import train_loader, val_loader
from transfer.engines.mmseg.model import model
from transfer.sources.recipe import USUAL, Recipe
from transfer.tasks.segmentation import SegmentationSettings


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
    recipe: Recipe = USUAL,
) -> dict[str, Any]:
    """Make MMSegmentation's configuration of a run.

    Args:
        backbone: File with the backbone's tensors under MMSegmentation's names.
        work: Folder of checkpoints and logs; holds `train.txt` and `val.txt` of `write_lists`.
        device: `cpu` or `cuda`, on which several processes normalise and communicate differently.
        processes: Number of processes that every batch is divided among.
        recipe: What the backbone's tensors don't show.

    Returns:
        What `mmengine.runner.Runner.from_cfg` takes; training ends with an evaluation.

    Raises:
        ConfigError: If a batch can't be divided evenly among the processes.
    """
    every = max(1, settings.iters)
    evaluator: dict[str, Any] = {"type": "IoUMetric", "iou_metrics": ["mIoU"], "ignore_index": data.ignore}
    config = {
        "default_scope": "mmseg",
        "work_dir": str(work),
        "model": model(settings, data, arch, backbone, synchronised=processes > 1 and device != "cpu", recipe=recipe),
        "train_dataloader": train_loader(settings, data, work, divided(settings.batch, processes)),
        "val_dataloader": val_loader(settings, data, work),
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
    """Return what several processes change: each draws its own crops, and their results are gathered in memory."""
    wrapper: dict[str, Any] = {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    return {
        "launcher": "pytorch",
        "model_wrapper_cfg": wrapper | ({"device_ids": None} if device == "cpu" else {}),
        "randomness": {"seed": seed, "diff_rank_seed": True},
        "val_evaluator": evaluator | {"collect_device": "gpu"},  # its other way is by files in the working directory
        "custom_hooks": [{"type": "SyncBuffersHook"}],
    }


def _optimiser(settings: SegmentationSettings) -> dict[str, Any]:
    plain = {"type": "SGD", "lr": settings.lr, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
    wrapper: dict[str, Any] = {"type": "OptimWrapper", "optimizer": plain}
    return wrapper if settings.norm_decay else wrapper | {"paramwise_cfg": {"norm_decay_mult": 0.0}}


def _schedule(settings: SegmentationSettings) -> list[dict[str, Any]]:
    """Compose the factors of the learning rate, which multiply. NOTE: mmengine's `end` is one past the last iteration."""
    falls: dict[str, Any] = {"type": "MultiStepLR", "by_epoch": False, "gamma": settings.lr_factor}
    falls["milestones"] = list(settings.steps)
    if settings.poly_power is not None:
        falls = {"type": "PolyLR", "by_epoch": False, "power": settings.poly_power, "eta_min": 0.0, "end": settings.iters + 1}
    if not settings.warmup_iters:
        return [falls]
    rises = {"type": "LinearLR", "by_epoch": False, "start_factor": settings.warmup_factor, "end": settings.warmup_iters + 1}
    return [rises, falls]


def _hooks(settings: SegmentationSettings) -> dict[str, Any]:
    # For a run without this project; in one with it, `transfer.engines.mmseg.checkpoint.Checkpoints` takes its place.
    checkpoint = {"type": "CheckpointHook", "by_epoch": False, "interval": settings.checkpoint_every, "max_keep_ckpts": 1}
    return {
        "runtime_info": {"type": "RuntimeInfoHook"},
        "timer": {"type": "IterTimerHook"},
        "logger": {"type": "LoggerHook", "interval": 50, "log_metric_by_epoch": False},
        "param_scheduler": {"type": "ParamSchedulerHook"},
        "checkpoint": checkpoint,
        "sampler_seed": {"type": "DistSamplerSeedHook"},
    }
