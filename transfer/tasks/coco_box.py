"""COCO detection without masks: the recipe of `coco-c4` with its mask head left out, a Faster R-CNN.

Source: Detectron2's `configs/COCO-Detection/faster_rcnn_R_50_C4_1x.yaml`, whose masks are off, with MoCo's changes of
`Base-RCNN-C4-BN.yaml` and the schedules of `coco-c4`. For annotation files that hold boxes alone.
"""

from transfer.tasks import Task
from transfer.tasks.coco import COCO_C4, METRICS

COCO_C4_BOX = Task(
    name="coco-c4-box",
    version=1,
    title="COCO detection without masks, Faster R-CNN C4",
    source="MoCo: coco_R_50_C4_2x.yaml without masks; Detectron2: faster_rcnn_R_50_C4_1x.yaml",
    layout=COCO_C4.layout,
    engines=COCO_C4.engines,
    settings=COCO_C4.settings.replace({"masks": False}),
    schedules=COCO_C4.schedules,
    schedule=COCO_C4.schedule,
    small=COCO_C4.small,
    generated=COCO_C4.generated,
    metrics=tuple(name for name in METRICS if name.endswith("_box")),
)
