"""Semantic segmentation on Cityscapes with DeepLabV3, as Huang et al. 2022 (arXiv 2208.00275) compare backbones in table 2.

The paper prints the mIoU alone; the protocol is that of its code (megvii-research/revisitAIRL @7afeb02,
`seg/Base-DeepLabV3-OS16-Semantic.yaml` and `seg/deeplab_v3_R_50_os16_mg124_poly_bs16.yaml`) with Detectron2 and its DeepLab
project underneath. What the two files leave open was taken from there: the dilation 2 of the last stage
(`Base-RCNN-DilatedC5.yaml`), momentum 0.9, weight decay 1e-4 on all but the norms, a warm-up of 1,000 iterations from a
thousandth, precise BN over 200 batches, mining over the images of one process. Unknown: how many runs a number is the
mean of, their spread, and which version of Detectron2 it was.

NOTE: the hardest pixels are those of all images a process holds: 2 in the published runs on 8 GPUs, 16 on one process.
NOTE: images are scaled by OpenCV, there by Pillow, whose bilinear scaling averages where it shrinks.
"""

from typing import Any

from transfer.tasks import Expected, Published, Task
from transfer.tasks.cityscapes import SHORT_SIDE
from transfer.tasks.segmentation import GENERATED, METRICS, SMALL, DeepLabV3Settings

_SHORTER: dict[str, Any] = {"crop_aspect": 1.0, "scale_choices": None, "hard_pixels": 1.0, "warmup_iters": 20, "precise_bn": 10}
"""What small budgets change beside what they change in `cityscapes`: crops as wide as high for images of any shape, and the
loss of all pixels, for from scratch the hardest alone teach nothing within as few iterations."""

PUBLISHED = {
    "Supervised-1000, 100 epochs": 76.0,
    "MoCo v2+, 100 epochs": 76.9,
    "S-MoCo v2+, 100 epochs": 77.1,
    "BYOL, 100 epochs": 77.6,
}
"""Checkpoint → mIoU, printed without a spread. Supervised-1000 is supervised on all of ImageNet-1K."""

CITYSCAPES_DEEPLABV3 = Task(
    name="cityscapes-deeplabv3",
    version=1,
    title="semantic segmentation, DeepLabV3 at output stride 16, fine-tuned",
    source="revisitAIRL: deeplab_v3_R_50_os16_mg124_poly_bs16.yaml; arXiv 2208.00275, table 2",
    layout="cityscapes",
    engines=("mmseg",),
    settings=DeepLabV3Settings(
        milestones=(),
        poly_power=0.9,
        warmup_iters=1000,
        warmup_factor=0.001,
        norm_decay=False,
        hard_pixels=0.2,
        crop=512,
        crop_aspect=2.0,
        scale_choices=7,
        multi_grid=(1, 2, 4),
        precise_bn=200,
        usual_side=SHORT_SIDE,
    ),
    small={**SMALL, **_SHORTER},
    generated={**GENERATED, **_SHORTER, "warmup_iters": 5},
    metrics=METRICS,
    published=(Published(name="cityscapes-deeplabv3", classes=19, val=500),),
    expected=tuple(
        Expected(checkpoint=checkpoint, metrics={"mIoU": value}, source="arXiv 2208.00275, supplement, table 2")
        for checkpoint, value in PUBLISHED.items()
    ),
)
