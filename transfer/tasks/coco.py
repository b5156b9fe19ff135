"""COCO detection and instance segmentation as MoCo and its followers transfer to it: Mask R-CNN, every layer fine-tuned.

Sources: facebookresearch/moco, `detection/configs/coco_R_50_C4_2x.yaml` and `Base-RCNN-C4-BN.yaml` (C4, 2x);
megvii-research/revisitAIRL, `det/coco_R_50_C4_1x.yaml` (C4, 1x), `det/Base-RCNN-FPN.yaml` and `coco_R_50_FPN_1x_moco.yaml`
(FPN, 1x); HobbitLong/PyContrast, `R_50_C4_1x.yaml`, `R_50_FPN_1x.yaml` and `R_50_FPN_2x.yaml`, which agree with them.
"""

from typing import Any

from transfer.tasks import Expected, Published, Task
from transfer.tasks.detection import FPN_GENERATED, FPN_SMALL, GENERATED, SMALL, C4Settings, FPNSettings

MIN_SIZES = tuple(range(640, 801, 32))
"""640, 672, ..., 800."""
METRICS = ("AP_box", "AP50_box", "AP75_box", "AP_seg", "AP50_seg", "AP75_seg")

SCHEDULES: dict[str, dict[str, Any]] = {
    "1x": {"iters": 90000, "steps": (60000, 80000)},
    "2x": {"iters": 180000, "steps": (120000, 160000)},
}
"""About 12 and 24 passes over train2017."""


def _expected(schedule: str, checkpoint: str, source: str, **metrics: float) -> Expected:
    return Expected(schedule=schedule, checkpoint=checkpoint, metrics=metrics, source=source)


PYCONTRAST = "HobbitLong/PyContrast @84f94ea, pycontrast/detection/README.md"
TABLE_5D = "arXiv 1911.05722, table 5d"

_SHARED: dict[str, Any] = {
    "masks": True,
    "metric": "coco",
    "train_splits": ("train2017",),
    "val_split": "val2017",
    "warmup": 1000,
    "min_sizes": MIN_SIZES,
}
_FPN_PROPOSALS = {"pre_nms_train": 2000, "post_nms_train": 1000, "pre_nms_test": 1000, "post_nms_test": 1000}

COCO_C4 = Task(
    name="coco-c4",
    version=1,
    title="COCO detection and instance segmentation, Mask R-CNN C4",
    source="MoCo: coco_R_50_C4_2x.yaml; revisitAIRL: coco_R_50_C4_1x.yaml",
    layout="coco",
    engines=("detectron2", "torchvision"),
    settings=C4Settings(**_SHARED, **SCHEDULES["2x"]),
    schedules=SCHEDULES,
    schedule="2x",
    small=SMALL,
    generated=GENERATED,
    metrics=METRICS,
    # `coco-c4` in those files names no schedule, and equals none.
    published=(
        Published(name="coco-c4-1x", schedule="1x", classes=80, val=5000),
        Published(name="coco-c4-2x", schedule="2x", classes=80, val=5000),
    ),
    # The supervised row of table 5d is MSRA's ResNet-50, with BGR images and the stride in the 1 × 1.
    expected=(
        _expected("1x", "Supervised", PYCONTRAST, AP_box=38.2, AP_seg=33.3),
        _expected("1x", "MoCo v1, 200 epochs", PYCONTRAST, AP_box=38.5, AP_seg=33.6),
        _expected("2x", "Supervised", TABLE_5D, AP_box=40.0, AP50_box=59.9, AP75_box=43.1, AP_seg=34.7),
        _expected("2x", "MoCo v1, 200 epochs", TABLE_5D, AP_box=40.7, AP50_box=60.5, AP75_box=44.1, AP_seg=35.4),
    ),
)

COCO_FPN = Task(
    name="coco-fpn",
    version=1,
    title="COCO detection and instance segmentation, Mask R-CNN FPN of the 4conv1fc family",
    source="revisitAIRL: coco_R_50_FPN_1x_moco.yaml; PyContrast: R_50_FPN_1x.yaml, R_50_FPN_2x.yaml",
    layout="coco",
    engines=("detectron2", "torchvision"),
    settings=FPNSettings(**_SHARED, **_FPN_PROPOSALS, **SCHEDULES["1x"]),
    schedules=SCHEDULES,
    schedule="1x",
    small=FPN_SMALL,
    generated=FPN_GENERATED,
    metrics=METRICS,
    # `coco-fpn-2x` has two families in those files; PyContrast's is this one.
    published=(
        Published(name="coco-fpn-1x", schedule="1x", classes=80, val=5000),
        Published(name="coco-fpn-2x", schedule="2x", classes=80, val=5000, source="PyContrast"),
    ),
    expected=(
        _expected("1x", "Random init", PYCONTRAST, AP_box=32.8, AP_seg=29.9),
        _expected("1x", "Supervised", PYCONTRAST, AP_box=39.7, AP_seg=35.9),
        _expected("1x", "MoCo v1, 200 epochs", PYCONTRAST, AP_box=39.4, AP_seg=35.6),
        _expected("2x", "Supervised", PYCONTRAST, AP_box=41.6, AP_seg=37.6),
        _expected("2x", "MoCo v2, 200 epochs", PYCONTRAST, AP_box=41.7, AP_seg=37.6),
    ),
)
