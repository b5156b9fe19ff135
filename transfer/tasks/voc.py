"""PASCAL VOC detection as MoCo transfers to it: Faster R-CNN with the C4 backbone, every layer fine-tuned.

Source: facebookresearch/moco, `detection/configs/pascal_voc_R_50_C4_24k.yaml` (VOC07+12), and He et al. 2020
(arXiv 1911.05722), table 4, with megvii-research/revisitAIRL, `det/voc07_R_50_C4_9k.yaml` (VOC07).
"""

from transfer.tasks import Published, Task
from transfer.tasks.detection import GENERATED, SMALL, DetectionSettings

MIN_SIZES = tuple(range(480, 801, 32))
"""480, 512, ..., 800."""
VAL = {"classes": 20, "val": 4952}
"""VOC2007/test."""
NOISE = {"AP50": 0.2, "AP": 0.2, "AP75": 0.4}
"""Standard deviations over runs, by the README of facebookresearch/moco's `detection`."""

_VOC0712 = DetectionSettings(
    masks=False,
    metric="voc",
    train_splits=("VOC2007/trainval", "VOC2012/trainval"),
    val_split="VOC2007/test",
    iters=24000,
    steps=(18000, 22000),
    warmup=100,
    min_sizes=MIN_SIZES,
)

VOC0712 = Task(
    name="voc0712",
    version=1,
    title="VOC07+12 detection, Faster R-CNN C4, 24k iterations",
    source="MoCo: pascal_voc_R_50_C4_24k.yaml",
    layout="voc",
    engines=("detectron2", "torchvision"),
    settings=_VOC0712,
    small=SMALL,
    generated=GENERATED,
    metrics=("AP50", "AP", "AP75"),
    published=(Published(name="voc0712-c4", noise=NOISE, **VAL),),
)

VOC07 = Task(
    name="voc07",
    version=1,
    title="VOC07 detection, Faster R-CNN C4, 9k iterations",
    source="revisitAIRL: voc07_R_50_C4_9k.yaml; MoCo, table 4",
    layout="voc",
    engines=("detectron2", "torchvision"),
    settings=_VOC0712.replace({"train_splits": ("VOC2007/trainval",), "iters": 9000, "steps": (6750, 8250)}),
    small=SMALL,
    generated=GENERATED,
    metrics=("AP50", "AP", "AP75"),
    published=(Published(name="voc07-c4", noise=NOISE, **VAL),),
)
