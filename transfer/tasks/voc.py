"""PASCAL VOC detection as MoCo transfers to it: Faster R-CNN with the C4 backbone, every layer fine-tuned.

Source: facebookresearch/moco, `detection/configs/pascal_voc_R_50_C4_24k.yaml` (VOC07+12), and He et al. 2020
(arXiv 1911.05722), table 4, with megvii-research/revisitAIRL, `det/voc07_R_50_C4_9k.yaml` (VOC07).
"""

from transfer.tasks import Expected, Noise, Published, Task
from transfer.tasks.detection import GENERATED, SMALL, C4Settings

MIN_SIZES = tuple(range(480, 801, 32))
"""480, 512, ..., 800."""
METRICS = ("AP50", "AP", "AP75")
VAL = {"classes": 20, "val": 4952}
"""VOC2007/test."""
SPREAD = {"AP50": 0.2, "AP": 0.2, "AP75": 0.4}
"""Standard deviations over five fine-tunings, in most cases, by the README of facebookresearch/moco's `detection`."""
README = "facebookresearch/moco @132aea9, detection/README.md: mean of 5"
NOISE = {name: Noise(sd=sd, n=5, over="fine-tunings", source=README) for name, sd in SPREAD.items()}
"""Of VOC07+12 alone: no source gives one for VOC07, which has a third of the images."""


def _moco(checkpoint: str, *values: float) -> Expected:
    """Declare a row of MoCo's README, which states one spread for all."""
    metrics = dict(zip(METRICS, values, strict=True))
    return Expected(checkpoint=checkpoint, metrics=metrics, spread=SPREAD, source=README)


def _table_4(checkpoint: str, *values: float) -> Expected:
    """Declare a row of MoCo's paper."""
    metrics = dict(zip(METRICS, values, strict=True))
    return Expected(checkpoint=checkpoint, metrics=metrics, source="arXiv 1911.05722, table 4: mean of 5")


_VOC0712 = C4Settings(
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
    metrics=METRICS,
    published=(Published(name="voc0712-c4", noise=NOISE, **VAL),),
    # The supervised row there is MSRA's ResNet-50, with BGR images and the stride in the 1 × 1.
    expected=(
        _moco("Supervised (MSRA R-50)", 81.3, 53.5, 58.8),
        _moco("MoCo v1, 200 epochs", 81.5, 55.9, 62.6),
        _moco("MoCo v2, 200 epochs", 82.4, 57.0, 63.6),
        _moco("MoCo v2, 800 epochs", 82.5, 57.4, 64.0),
    ),
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
    metrics=METRICS,
    published=(Published(name="voc07-c4", **VAL),),
    expected=(
        _table_4("Supervised", 74.4, 42.4, 42.7),
        _table_4("MoCo v1, 200 epochs", 74.9, 46.6, 50.1),
    ),
)
