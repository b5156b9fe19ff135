"""Semantic segmentation on Cityscapes with a fully convolutional head, by the appendix of the MoCo paper."""

from transfer.tasks import Expected, Published, Task
from transfer.tasks.segmentation import GENERATED, METRICS, SMALL, FCNSettings

SHORT_SIDE = 1024
"""Height of every Cityscapes image, in pixels."""
TABLE_6 = "arXiv 1911.05722, table 6: mean of 5"

CITYSCAPES = Task(
    name="cityscapes",
    version=1,
    title="semantic segmentation, FCN with dilation 6 at output stride 16, fine-tuned",
    source="arXiv 1911.05722, appendix A.5",
    layout="cityscapes",
    engines=("mmseg",),
    settings=FCNSettings(usual_side=SHORT_SIDE),
    small=SMALL,
    generated=GENERATED,
    metrics=METRICS,
    published=(Published(name="cityscapes-fcn-d6-os16", classes=19, val=500),),
    # The spread of the five is not printed.
    expected=(
        Expected(checkpoint="Supervised", metrics={"mIoU": 74.6}, source=TABLE_6),
        Expected(checkpoint="MoCo v1, 200 epochs", metrics={"mIoU": 75.3}, source=TABLE_6),
    ),
)
