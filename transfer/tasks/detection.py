"""What the detection protocols share: their settings, and how the command line's shortcuts change them."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pretrain.core.ranges import LARGEST, Side
from transfer.tasks import TaskSettings
from transfer.tasks.length import require_reached, shorter_warmup

PYRAMID_MAPS = 5


class DetectionSettings(TaskSettings):
    """Train an R-CNN. The defaults are Detectron2's, from its `Base-RCNN-C4.yaml` and `config/defaults.py`."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers", "checkpoint_seconds"})

    family: str
    """Kind of the detector."""
    masks: bool
    """Train and measure a mask head (Mask R-CNN) or boxes only (Faster R-CNN)."""
    metric: Literal["voc", "coco"]
    """`voc`: 11-point interpolated AP as for VOC 2007; `coco`: pycocotools."""
    train_splits: tuple[str, ...]
    """Splits trained on, as the layout names them."""
    val_split: str
    """Split the metric is computed on."""
    iters: int = Field(ge=0)
    """Optimiser steps."""
    batch: int = Field(default=16, ge=1)
    """Images per step, all processes together."""
    lr: float = Field(default=0.02, gt=0)
    """Learning rate after the warm-up."""
    warmup: int = Field(ge=0)
    """Iterations of linear warm-up."""
    warmup_factor: float = Field(default=0.001, gt=0, le=1)
    """Fraction of the learning rate that the warm-up starts from."""
    steps: tuple[int, ...]
    """Iterations at which the learning rate is multiplied by `gamma`."""
    gamma: float = Field(default=0.1, gt=0, le=1)
    """Factor of each decay."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Weight decay of every parameter but those of normalisation layers, which have none."""
    min_sizes: tuple[Side, ...] = Field(min_length=1)
    """Short sides in pixels, one drawn per training image."""
    test_size: Side = 800
    """Short side in pixels of test images."""
    max_size: int = Field(default=1333, gt=0, le=LARGEST)
    """Largest long side in pixels; a longer image is scaled down to it."""
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Square roots of the anchors' areas, in pixels."""
    rois: int = Field(default=512, ge=1)
    """Regions sampled per image to train the box and mask heads."""
    object_share: float = Field(default=0.25, gt=0, le=1)
    """Largest fraction of objects among them."""
    roi_resolution: int = Field(default=14, ge=2)
    """Cells per side of a pooled region."""
    rpn_batch: int = Field(default=256, ge=2)
    """Anchors sampled per image to train the RPN, at most half of them objects."""
    pre_nms_train: int = Field(default=12000, ge=1)
    """Best anchors of each map kept before non-maximum suppression, training."""
    post_nms_train: int = Field(default=2000, ge=1)
    """Proposals kept after it, training."""
    pre_nms_test: int = Field(default=6000, ge=1)
    """Best anchors of each map kept before non-maximum suppression, test."""
    post_nms_test: int = Field(default=1000, ge=1)
    """Proposals kept after it, test."""
    precise_bn: int = Field(default=200, ge=0)
    """Training batches whose statistics replace those of the BN layers before evaluation; 0: keep the running ones."""
    score_threshold: float = Field(default=0.05, ge=0, lt=1)
    """Detections below it are dropped."""
    detections_per_image: int = Field(default=100, ge=1)
    """Most detections kept per image."""
    max_val_images: int | None = Field(default=None, ge=1)
    """Evaluate on this many images, evenly spaced; null: on all."""

    num_workers: int = Field(default=4, ge=0)
    """Worker processes that decode and resize images; 0: the training process itself. Changes no number."""
    checkpoint_seconds: float = Field(default=120.0, ge=0)
    """Seconds between the checkpoints that a broken run resumes from; 0: after every iteration. Changes no number."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.steps) != sorted(self.steps):
            raise ValueError(f"steps must increase, got {self.steps}")
        require_reached(self.iters, warmup=self.warmup, drops=self.steps)
        if self.max_size < max(*self.min_sizes, self.test_size):
            raise ValueError(f"max_size {self.max_size} is below a short side of {max(*self.min_sizes, self.test_size)}")
        return self

    def with_iters(self, iters: int) -> Self:
        """Change the length: the decays move in proportion, and the warm-up takes at most a tenth of it."""
        factor = iters / self.iters if self.iters else 0.0
        steps = tuple(round(step * factor) for step in self.steps)
        return self.replace({"iters": iters, "steps": steps, "warmup": shorter_warmup(self.warmup, iters)})

    def with_batch(self, batch: int) -> Self:
        """Change the batch, and scale the learning rate linearly (Goyal et al. 2017, arXiv 1706.02677)."""
        return self.replace({"batch": batch, "lr": self.lr * batch / self.batch})

    def with_size(self, size: int) -> Self:
        """Set one short side in pixels, for training and test."""
        return self.replace({"min_sizes": (size,), "test_size": size, "max_size": max(self.max_size, size)}, where="--size")

    def with_rois(self, rois: int) -> Self:
        """Change the number of regions per image."""
        return self.replace({"rois": rois})

    def with_precise_bn(self, forwards: int) -> Self:
        """Change the number of forward passes for the BN statistics."""
        return self.replace({"precise_bn": forwards})

    def splits(self) -> dict[str, Any]:
        """Return the splits' names, and what of their truth is used."""
        used = {"masks": self.masks, "max_val_images": self.max_val_images}
        return {"train": self.train_splits, "val": self.val_split, **used}

    def schedule(self) -> str:
        """Describe the schedule in words."""
        return (
            f"{self.iters} iterations of {self.batch} images, learning rate {self.lr:g}, x{self.gamma:g} at {list(self.steps)}"
        )


class C4Settings(DetectionSettings):
    """Train a detector that cuts regions from the stride-16 map and runs the backbone's last stage on each of them."""

    family: Literal["c4"] = "c4"
    """Kind of the detector."""
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Square roots of the anchors' areas, in pixels, all on the one map."""
    roi_resolution: int = Field(default=14, ge=2)
    """Cells per side of a pooled region, before the last stage halves them."""


class FPNSettings(DetectionSettings):
    """Train a detector that cuts regions from a feature pyramid.

    Four convolutions and one linear layer come before the box head (4conv1fc), four convolutions before the mask head, and
    BN is in all of them.
    """

    family: Literal["fpn"] = "fpn"
    """Kind of the detector."""
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Square roots of the anchors' areas, in pixels, one on each of the pyramid's five maps."""
    roi_resolution: int = Field(default=7, ge=2)
    """Cells per side of a region that is pooled for the box head; twice as many for the mask head."""

    @model_validator(mode="after")
    def _one_size_per_map(self) -> Self:
        if len(self.anchor_sizes) != PYRAMID_MAPS:
            raise ValueError(f"the pyramid has {PYRAMID_MAPS} maps, got {len(self.anchor_sizes)} anchor_sizes")
        return self


SMALL: dict[str, Any] = {
    "iters": 300,
    "batch": 2,
    "lr": 0.01,
    "warmup": 30,
    "steps": (240,),
    "min_sizes": (224, 256),
    "test_size": 256,
    "max_size": 512,
    "rois": 32,
    "object_share": 0.5,
    "roi_resolution": 6,
    "rpn_batch": 128,
    "pre_nms_train": 1000,
    "post_nms_train": 200,
    "pre_nms_test": 500,
    "post_nms_test": 60,
    "precise_bn": 6,
    "score_threshold": 0.01,
    "detections_per_image": 60,
    "max_val_images": 60,
    "num_workers": 0,
}
"""What `--budget small` changes: three minutes of two CPU cores with a ResNet-18.

Most of the time goes into the last stage, which runs on every region: hence small regions, and half of them objects.
"""

GENERATED: dict[str, Any] = {
    **SMALL,
    "iters": 80,
    "lr": 0.005,
    "warmup": 8,
    "steps": (64,),
    "min_sizes": (160,),
    "test_size": 160,
    "max_size": 320,
    "rois": 16,
    "roi_resolution": 4,
    "rpn_batch": 64,
    "pre_nms_train": 300,
    "post_nms_train": 60,
    "pre_nms_test": 200,
    "post_nms_test": 20,
    "detections_per_image": 20,
}
"""What the generated data needs, half a minute: few objects in small images. Magnifying those does more than many regions."""

FPN_SMALL: dict[str, Any] = {
    **SMALL,
    "iters": 150,
    "warmup": 15,
    "steps": (120,),
    "min_sizes": (176, 192),
    "test_size": 192,
    "max_size": 384,
    "anchor_sizes": (16, 32, 64, 128, 256),
    "rois": 24,
    "roi_resolution": 4,
    "pre_nms_train": 300,
    "pre_nms_test": 150,
}
"""The same for `fpn`, whose time goes into the finest map: hence smaller images, and anchors to match."""

FPN_GENERATED: dict[str, Any] = {
    **GENERATED,
    "anchor_sizes": (16, 32, 64, 128, 256),
    "pre_nms_train": 150,
    "pre_nms_test": 100,
}
"""The same for `fpn` on the generated data."""
