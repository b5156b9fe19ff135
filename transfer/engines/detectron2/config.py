"""Write a run as Detectron2's own configuration: plain values under Detectron2's names, without importing it.

The constants are the contract of MoCo's transfer (facebookresearch/moco, `detection/configs/Base-RCNN-C4-BN.yaml` and
`coco_R_50_C4_2x_moco.yaml`; for FPN, megvii-research/revisitAIRL, `det/Base-RCNN-FPN.yaml`): each differs from Detectron2's
default, and each, left at the default, costs points of AP in silence.
"""

from pathlib import Path
from typing import Any

from pretrain.backbones import Variant, get
from pretrain.backbones.resnet import ResNet
from pretrain.core.errors import EngineError
from pretrain.images.normalise import Input
from transfer.sources.recipe import USUAL, Recipe
from transfer.tasks.detection import DetectionSettings

FREEZE_AT = 0
"""Nothing is frozen; Detectron2 freezes the stem and the first stage."""
NORMS = {"c4": "naiveSyncBN", "fpn": "SyncBN"}
"""BN is trained, and synchronised over processes, in the backbone and in every new layer; Detectron2 freezes it.

MoCo's C4 has `naiveSyncBN` since November 2020 (d00ef73). Without a process group both are plain BN.
"""
NORMS_ON_CPUS = {"c4": "naiveSyncBN", "fpn": "naiveSyncBN_N"}
"""Norms in several processes on CPUs, for which torch has no `SyncBN`: Detectron2's own; `_N` takes images without objects,
too."""
PRECISE_BN = True
"""Whether the statistics of every norm are set anew before the evaluation."""
EXTRA_NORM_HEADS = "Res5ROIHeadsExtraNorm"
"""C4's heads with one more norm after the last stage: MoCo's name for them, registered by its `train_net.py` and by us."""

STAGE_HALVINGS = 3
"""The number of channels doubles that often from the first stage to the last."""
PYRAMID = ("p2", "p3", "p4", "p5", "p6")
STAGES = ("res2", "res3", "res4", "res5")
HEAD_CONVOLUTIONS, BOX_LINEAR_LAYERS = 4, 1
"""The heads known as 4conv1fc."""

Flat = dict[str, Any]
"""Names such as `A.B.C` → value, for `CfgNode.merge_from_list`."""


def native_config(
    settings: DetectionSettings,
    *,
    arch: str,
    classes: int,
    train: str,
    val: str,
    bit_masks: bool,
    seed: int,
    device: str,
    processes: int = 1,
    backbone: Recipe = USUAL,
) -> Flat:
    """Make Detectron2's configuration of a run, but for its files.

    Args:
        settings: The recipe.
        arch: A torchvision ResNet.
        classes: K.
        train: Name of the training set in Detectron2's catalogue.
        val: Name of the validation set.
        bit_masks: Whether some masks are no polygons.
        seed: Seed of the order of the images.
        device: `cpu` or `cuda`.
        processes: Number of processes that each batch is divided among.
        backbone: What the ResNet sees, and which of its convolutions are strided: Detectron2's defaults are MSRA's, BGR and
            the 1x1. Its norms' eps is no setting of Detectron2.

    Raises:
        EngineError: If Detectron2 can't follow the schedule.
    """
    norm = (NORMS_ON_CPUS if device == "cpu" and processes > 1 else NORMS)[settings.family]
    heads = _fpn(settings, norm) if settings.family == "fpn" else _c4()
    return {
        **_backbone(arch, norm, backbone.variant),
        **_stages(settings, classes),
        **heads,
        **_training(settings),
        "MODEL.DEVICE": device,
        "SEED": seed,
        **_images(settings, backbone.seen, bit_masks),
        "DATASETS.TRAIN": (train,),
        "DATASETS.TEST": (val,),
        "DATALOADER.NUM_WORKERS": settings.num_workers,
        "TEST.DETECTIONS_PER_IMAGE": settings.detections_per_image,
        "TEST.PRECISE_BN.ENABLED": PRECISE_BN and settings.precise_bn > 0,
        "TEST.PRECISE_BN.NUM_ITER": settings.precise_bn,
    }


def files(weights: Path, output: Path) -> Flat:
    """Name the file of the converted backbone, and the folder of the checkpoints."""
    return {"MODEL.WEIGHTS": str(weights), "OUTPUT_DIR": str(output)}


def _backbone(arch: str, norm: str, variant: Variant) -> Flat:
    resnet = get(arch)
    assert isinstance(resnet, ResNet), "the table of engines refuses others"
    return {
        "MODEL.BACKBONE.FREEZE_AT": FREEZE_AT,
        "MODEL.RESNETS.DEPTH": resnet.depth,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": resnet.width // 2**STAGE_HALVINGS,
        "MODEL.RESNETS.NORM": norm,
        "MODEL.RESNETS.STRIDE_IN_1X1": variant.stride_in_1x1,
    }


def _images(settings: DetectionSettings, seen: Input, bit_masks: bool) -> Flat:
    return {
        "INPUT.FORMAT": seen.order,
        "INPUT.MASK_FORMAT": "bitmask" if bit_masks else "polygon",
        "INPUT.MIN_SIZE_TRAIN": settings.min_sizes,
        "INPUT.MAX_SIZE_TRAIN": settings.max_size,
        "INPUT.MIN_SIZE_TEST": settings.test_size,
        "INPUT.MAX_SIZE_TEST": settings.max_size,
        "MODEL.PIXEL_MEAN": list(seen.pixel_mean),
        "MODEL.PIXEL_STD": list(seen.pixel_std),
    }


def _stages(settings: DetectionSettings, classes: int) -> Flat:
    return {
        "MODEL.MASK_ON": settings.masks,
        "MODEL.RPN.BATCH_SIZE_PER_IMAGE": settings.rpn_batch,
        "MODEL.RPN.PRE_NMS_TOPK_TRAIN": settings.pre_nms_train,
        "MODEL.RPN.POST_NMS_TOPK_TRAIN": settings.post_nms_train,
        "MODEL.RPN.PRE_NMS_TOPK_TEST": settings.pre_nms_test,
        "MODEL.RPN.POST_NMS_TOPK_TEST": settings.post_nms_test,
        "MODEL.ROI_HEADS.NUM_CLASSES": classes,
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": settings.rois,
        "MODEL.ROI_HEADS.POSITIVE_FRACTION": settings.object_share,
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": settings.score_threshold,
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": settings.roi_resolution,
        "MODEL.ANCHOR_GENERATOR.SIZES": _anchor_sizes(settings),
    }


def _anchor_sizes(settings: DetectionSettings) -> list[list[int]]:
    sizes = settings.anchor_sizes
    return [[size] for size in sizes] if settings.family == "fpn" else [list(sizes)]


def _c4() -> Flat:
    return {"MODEL.ROI_HEADS.NAME": EXTRA_NORM_HEADS}


def _fpn(settings: DetectionSettings, norm: str) -> Flat:
    return {
        "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
        "MODEL.RESNETS.OUT_FEATURES": list(STAGES),
        "MODEL.FPN.IN_FEATURES": list(STAGES),
        "MODEL.FPN.NORM": norm,
        "MODEL.RPN.IN_FEATURES": list(PYRAMID),
        "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
        "MODEL.ROI_HEADS.IN_FEATURES": list(PYRAMID[:-1]),
        "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
        "MODEL.ROI_BOX_HEAD.NUM_CONV": HEAD_CONVOLUTIONS,
        "MODEL.ROI_BOX_HEAD.NUM_FC": BOX_LINEAR_LAYERS,
        "MODEL.ROI_BOX_HEAD.NORM": norm,
        "MODEL.ROI_MASK_HEAD.NUM_CONV": HEAD_CONVOLUTIONS,
        "MODEL.ROI_MASK_HEAD.NORM": norm,
        "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 2 * settings.roi_resolution,
    }


def _training(settings: DetectionSettings) -> Flat:
    return {
        "SOLVER.IMS_PER_BATCH": settings.batch,
        "SOLVER.BASE_LR": settings.lr,
        "SOLVER.MAX_ITER": max(settings.iters, 1),  # a schedule of no length can't be built; nothing is trained then
        "SOLVER.STEPS": _decays(settings),
        "SOLVER.GAMMA": settings.gamma,
        "SOLVER.WARMUP_ITERS": settings.warmup,
        "SOLVER.WARMUP_FACTOR": settings.warmup_factor,
        "SOLVER.MOMENTUM": settings.momentum,
        "SOLVER.WEIGHT_DECAY": settings.weight_decay,
    }


def _decays(settings: DetectionSettings) -> tuple[int, ...]:
    """List the decays before the end, which are the ones that change anything.

    Raises:
        EngineError: If two fall together or one is at the start, which Detectron2's scheduler can't do.
    """
    steps = tuple(step for step in settings.steps if step < settings.iters)
    if 0 in steps or len(set(steps)) < len(steps):
        allowed = "different iterations, none of them 0"
        raise EngineError("Detectron2 can't decay so", seen=f"steps {list(steps)}", allowed=allowed, fix="--set steps=[...]")
    return steps
