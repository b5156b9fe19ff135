"""Semantic segmentation on Cityscapes, by the appendix of the MoCo paper.

The metric is the mean over classes of intersection over union, in percent, of all evaluated pixels together. A class that
occurs neither in the truth nor in the predictions has no union and is left out of the mean; a class that occurs in one of
them counts.
"""

from typing import Any, ClassVar, Self

from pydantic import Field, field_validator

from transfer.tasks import Published, Task, TaskSettings

CITYSCAPES_SHORT_SIDE = 1024
"""Height of every Cityscapes image, in pixels."""


class SegmentationSettings(TaskSettings):
    """Training a segmenter from a backbone. The defaults are the published protocol (arXiv 1911.05722, A.5)."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers", "checkpoint_every"})

    # These change the numbers.
    iters: int = Field(default=90_000, ge=0)
    """Training iterations; 0 evaluates the untrained model."""
    batch: int = Field(default=16, ge=1)
    """Images per iteration."""
    lr: float = Field(default=0.01, gt=0)
    """Learning rate of SGD at the start."""
    milestones: tuple[float, ...] = (0.7, 0.9)
    """Shares of the iterations after which the learning rate is multiplied by `lr_factor`."""
    lr_factor: float = Field(default=0.1, gt=0)
    """Factor at each milestone."""
    warmup_iters: int = Field(default=0, ge=0)
    """Iterations over which the learning rate rises from a tenth; the paper names none."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD. The paper doesn't state it; 0.9 as in its other tasks."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of SGD."""
    class_balance: float = Field(default=0.0, ge=0, le=1)
    """Weigh a class in the loss with its share of the training pixels to the power of minus this; 0: all the same, as
    published; 1: by the inverse of the share (median frequency balancing, arXiv 1411.4734)."""
    crop: int = Field(default=769, ge=32)
    """Side of the square training crops, in pixels."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random scaling before the crop."""
    short_side: int | None = Field(default=None, ge=32)
    """Short side, in pixels, that images are resized to, for training (before the random scaling) and for testing; null
    for their own size. Predictions are always compared with the truth at its own size."""
    head_channels: int = Field(default=256, ge=1)
    """Channels of the head's two 3 × 3 convolutions."""
    head_dilation: int = Field(default=6, ge=1)
    """Dilation of the head's two 3 × 3 convolutions."""
    max_val_images: int | None = Field(default=None, ge=1)
    """Evaluate on that many images, evenly spread over the validation list; null for all."""

    # These do not.
    num_workers: int = Field(default=4, ge=0)
    """Processes that read images."""
    checkpoint_every: int = Field(default=5_000, ge=1)
    """Iterations between the checkpoints a broken run goes on from."""

    @field_validator("milestones")
    @classmethod
    def _rising_shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if list(shares) != sorted(set(shares)) or any(not 0 < share < 1 for share in shares):
            raise ValueError("rising shares of the iterations between 0 and 1, such as [0.7, 0.9]")
        return shares

    @field_validator("scale")
    @classmethod
    def _range(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError("two positive numbers, the smaller one first, such as [0.5, 2.0]")
        return scale

    @property
    def steps(self) -> tuple[int, ...]:
        """The iterations after which the learning rate drops."""
        return tuple(round(share * self.iters) for share in self.milestones)

    def schedule(self) -> str:
        """The schedule in words."""
        drops = f"x{self.lr_factor:g} at {list(self.steps)}"
        return f"{self.iters} iterations of {self.batch} images, learning rate {self.lr:g}, {drops}"

    def with_iters(self, iters: int) -> Self:
        """A schedule of another length; the milestones keep their share of it, and the warm-up takes at most a tenth."""
        return self.replace({"iters": iters, "warmup_iters": min(self.warmup_iters, iters // 10)}, where="--iters")

    def with_batch(self, batch: int) -> Self:
        """Another batch, and the learning rate scaled with it."""
        return self.replace({"batch": batch, "lr": self.lr * batch / self.batch}, where="--batch")

    def with_size(self, short_side: int) -> Self:
        """Images of another short side, for training and testing; the crop keeps its share of it."""
        crop = round(self.crop * short_side / (self.short_side or CITYSCAPES_SHORT_SIDE))
        return self.replace({"short_side": short_side, "crop": crop}, where="--size")


SMALL: dict[str, Any] = {
    "iters": 200,
    "batch": 8,
    "lr": 0.02,
    "crop": 192,
    "scale": (0.8, 1.25),
    "short_side": 192,
    "head_dilation": 1,
    "max_val_images": 100,
    "num_workers": 0,
}
"""What `--budget small` changes: three minutes of two CPU cores. Against a map of 12 x 12, taps 6 apart see mostly padding."""

CITYSCAPES = Task(
    name="cityscapes",
    version=1,
    title="semantic segmentation, FCN with dilation 6 at output stride 16, fine-tuned",
    source="arXiv 1911.05722, appendix A.5",
    layout="cityscapes",
    engines=("mmseg",),
    settings=SegmentationSettings(),
    small=SMALL,
    # While 70 % of the pixels are background, the first hundred steps would go by on learning that: hence the balance.
    generated={**SMALL, "iters": 50, "class_balance": 0.5, "crop": 96, "short_side": 96},
    metrics=("mIoU", "mAcc", "aAcc"),
    published=(Published(name="cityscapes-fcn-d6-os16", classes=19, val=500),),
)
