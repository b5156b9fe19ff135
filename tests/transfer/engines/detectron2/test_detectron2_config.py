"""The contract of MoCo's transfer in Detectron2's configuration, without Detectron2."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretrain.core.errors import EngineError
from transfer import tasks
from transfer.datasets.objects import Picture
from transfer.engines.detectron2.catalogue import described, has_bit_masks
from transfer.engines.detectron2.config import native_config
from transfer.tasks.detection import DetectionSettings

CONTRACT = {
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.STRIDE_IN_1X1": False,
    "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
    "MODEL.PIXEL_STD": [58.395, 57.12, 57.375],
    "INPUT.FORMAT": "RGB",
    "TEST.PRECISE_BN.ENABLED": True,
    "TEST.PRECISE_BN.NUM_ITER": 200,
    "SOLVER.IMS_PER_BATCH": 16,
    "SOLVER.BASE_LR": 0.02,
}
"""Of every protocol: facebookresearch/moco, `detection/configs/Base-RCNN-C4-BN.yaml` and `coco_R_50_C4_2x_moco.yaml`."""
C4 = {
    "MODEL.RESNETS.NORM": "naiveSyncBN",
    "MODEL.ROI_HEADS.NAME": "Res5ROIHeadsExtraNorm",
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 6000,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32, 64, 128, 256, 512]],
}
VOC = {
    "MODEL.MASK_ON": False,
    "INPUT.MIN_SIZE_TRAIN": tuple(range(480, 801, 32)),
    "INPUT.MIN_SIZE_TEST": 800,
    "SOLVER.WARMUP_ITERS": 100,
}
COCO = {"MODEL.MASK_ON": True, "INPUT.MIN_SIZE_TRAIN": tuple(range(640, 801, 32)), "SOLVER.WARMUP_ITERS": 1000}
FPN = {
    # revisitAIRL, det/Base-RCNN-FPN.yaml; PyContrast, R_50_FPN_1x.yaml
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.RESNETS.NORM": "SyncBN",
    "MODEL.FPN.NORM": "SyncBN",
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 2000,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_CONV": 4,
    "MODEL.ROI_BOX_HEAD.NUM_FC": 1,
    "MODEL.ROI_BOX_HEAD.NORM": "SyncBN",
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_MASK_HEAD.NUM_CONV": 4,
    "MODEL.ROI_MASK_HEAD.NORM": "SyncBN",
    "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 14,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "voc0712": C4 | VOC | {"SOLVER.STEPS": (18000, 22000), "SOLVER.MAX_ITER": 24000},
    "voc07": C4 | VOC | {"SOLVER.STEPS": (6750, 8250), "SOLVER.MAX_ITER": 9000},
    "coco-c4": C4 | COCO | {"SOLVER.STEPS": (120000, 160000), "SOLVER.MAX_ITER": 180000},
    "coco-c4@1x": C4 | COCO | {"SOLVER.STEPS": (60000, 80000), "SOLVER.MAX_ITER": 90000},
    "coco-fpn": FPN | COCO | {"SOLVER.STEPS": (60000, 80000), "SOLVER.MAX_ITER": 90000},
    "coco-fpn@2x": FPN | COCO | {"SOLVER.STEPS": (120000, 160000), "SOLVER.MAX_ITER": 180000},
}


def native(task: str, arch: str = "resnet50", *, bit_masks: bool = False, **changes: Any) -> dict[str, Any]:
    settings = tasks.get(task).settings.replace(changes)
    assert isinstance(settings, DetectionSettings)
    return native_config(settings, arch=arch, classes=7, train="a", val="b", bit_masks=bit_masks, seed=3, device="cpu")


@pytest.mark.parametrize("task", PUBLISHED)
def test_a_protocol_is_the_published_configuration(task: str) -> None:
    expected = CONTRACT | PUBLISHED[task]
    found = native(task)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(("arch", "channels"), [("resnet18", 64), ("resnet34", 64), ("resnet50", 256), ("resnet101", 256)])
def test_the_backbone_is_the_one_asked_for(arch: str, channels: int) -> None:
    found = native("coco-fpn", arch)
    assert found["MODEL.RESNETS.DEPTH"] == int(arch.removeprefix("resnet"))
    assert found["MODEL.RESNETS.RES2_OUT_CHANNELS"] == channels
    assert (found["MODEL.ROI_HEADS.NUM_CLASSES"], found["DATASETS.TRAIN"], found["SEED"]) == (7, ("a",), 3)


def test_changes_reach_the_configuration() -> None:
    found = native("coco-fpn", bit_masks=True, iters=0, precise_bn=0, roi_resolution=5, lr=0.5)
    assert (found["SOLVER.MAX_ITER"], found["TEST.PRECISE_BN.ENABLED"], found["SOLVER.BASE_LR"]) == (1, False, 0.5)
    assert (found["MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"], found["MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION"]) == (5, 10)
    assert found["INPUT.MASK_FORMAT"] == "bitmask"


def test_only_decays_before_the_end_are_passed_on() -> None:
    assert native("voc07", iters=2, warmup=0, steps=(1, 2))["SOLVER.STEPS"] == (1,)
    assert native("voc07", iters=0, steps=(0, 0))["SOLVER.STEPS"] == ()


@pytest.mark.parametrize("steps", [(0, 3), (3, 3)])
def test_decays_that_detectron2_can_not_do_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match="different iterations"):
        native("voc07", iters=5, warmup=0, steps=steps)


def test_images_are_described_with_their_objects() -> None:
    boxes = np.array([[1, 2, 30, 40], [0, 0, 9, 9]], dtype=np.float32)
    polygon = np.array([1.0, 2, 30, 2, 30, 40])
    runs = {"size": [50, 60], "counts": "x"}
    crowd, none = np.array([False, True]), np.zeros(2, dtype=bool)
    picture = Picture(Path("a.jpg"), 7, 60, 50, boxes, np.array([1, 0]), none, crowd, ((polygon,), runs))
    (one,) = described([picture], truth=True, masks=True)
    assert {key: one[key] for key in ("file_name", "image_id", "height", "width")} == {
        "file_name": "a.jpg",
        "image_id": 7,
        "height": 50,
        "width": 60,
    }
    assert [(each["bbox"], each["category_id"], each["iscrowd"]) for each in one["annotations"]] == [
        ([1.0, 2.0, 30.0, 40.0], 1, 0),
        ([0.0, 0.0, 9.0, 9.0], 0, 1),
    ]
    assert one["annotations"][0]["segmentation"] == [polygon]
    assert not has_bit_masks(picture)  # the crowd's is never trained on
    assert "segmentation" not in described([picture], truth=True, masks=False)[0]["annotations"][0]
    assert "annotations" not in described([picture], truth=False, masks=True)[0]
