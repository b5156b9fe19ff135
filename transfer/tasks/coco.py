"""COCO detection and instance segmentation as MoCo transfers to it: Mask R-CNN, every layer fine-tuned.

Source: facebookresearch/moco, `detection/configs/coco_R_50_C4_2x.yaml` and `Base-RCNN-C4-BN.yaml`.
"""

from transfer.tasks import Published, Task
from transfer.tasks.detection import GENERATED, SMALL, DetectionSettings

MIN_SIZES = tuple(range(640, 801, 32))
"""640, 672, ..., 800."""
METRICS = ("AP_box", "AP50_box", "AP75_box", "AP_seg", "AP50_seg", "AP75_seg")
NOISE = dict.fromkeys(METRICS, 0.3)
"""Standard deviation over runs."""

COCO_C4 = Task(
    name="coco-c4",
    version=1,
    title="COCO detection and instance segmentation, Mask R-CNN C4, 2x schedule",
    source="MoCo: coco_R_50_C4_2x.yaml",
    layout="coco",
    engines=("torchvision",),
    settings=DetectionSettings(
        masks=True,
        metric="coco",
        train_splits=("train2017",),
        val_split="val2017",
        iters=180000,
        steps=(120000, 160000),
        warmup=1000,
        min_sizes=MIN_SIZES,
    ),
    small=SMALL,
    generated=GENERATED,
    metrics=METRICS,
    # `coco-c4` and `coco-c4-1x` in those files are other or unnamed schedules.
    published=(Published(name="coco-c4-2x", classes=80, val=5000, noise=NOISE),),
)
