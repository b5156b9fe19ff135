"""Semantic segmentation on Cityscapes, by the appendix of the MoCo paper, and the settings of all segmentation.

The metric is the mean over classes of intersection over union, in percent, of all evaluated pixels together. A class that
occurs neither in the truth nor in the predictions has no union and is left out of the mean; a class that occurs in one of
them counts.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from transfer.tasks import Expected, Published, Task, TaskSettings

CITYSCAPES_SHORT_SIDE = 1024
"""Height of every Cityscapes image, in pixels."""
OUTPUT_STRIDE = 16
"""Pixels per cell of the backbone's last map."""
LAST_DILATION = 2
"""Of the 3 × 3 convolutions of layer4, which has no stride."""


class SegmentationSettings(TaskSettings):
    """Training a segmenter from a backbone. The defaults are the published protocol (arXiv 1911.05722, A.5)."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers", "checkpoint_every"})

    # These change the numbers.
    family: Literal["fcn", "deeplabv3"] = "fcn"
    """The head: two dilated convolutions, or DeepLabV3's pyramid of them (arXiv 1706.05587)."""
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
    poly_power: float | None = Field(default=None, gt=0)
    """The learning rate falls as (1 - done / iters) to this power, without milestones; null: by milestones alone."""
    warmup_iters: int = Field(default=0, ge=0)
    """Iterations over which the learning rate rises; the paper names none."""
    warmup_factor: float = Field(default=0.1, gt=0, le=1)
    """Share of the learning rate that the warm-up starts from."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD. The paper doesn't state it; 0.9 as in its other tasks."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of SGD."""
    norm_decay: bool = True
    """Whether the weights and biases of the norms decay, too."""
    hard_pixels: float = Field(default=1.0, gt=0, le=1)
    """Share of the pixels, those with the largest losses, that the loss is the mean over."""
    class_balance: float = Field(default=0.0, ge=0, le=1)
    """Weigh a class in the loss with its share of the training pixels to the power of minus this; 0: all the same, as
    published; 1: by the inverse of the share (median frequency balancing, arXiv 1411.4734)."""
    crop: int = Field(default=769, ge=32)
    """Height of the training crops, in pixels."""
    crop_aspect: float = Field(default=1.0, gt=0)
    """Width of the training crops, in their heights."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random scaling before the crop."""
    scale_choices: int | None = Field(default=None, ge=2)
    """Draw the scaling from that many evenly spaced values of the range; null: from anything between."""
    short_side: int | None = Field(default=None, ge=32)
    """Short side, in pixels, that images are resized to, for training (before the random scaling) and for testing; null
    for their own size. Predictions are always compared with the truth at its own size."""
    head_channels: int = Field(default=256, ge=1)
    """Channels of the head's convolutions."""
    head_dilation: int = Field(default=6, ge=1)
    """Dilation of the head's 3 × 3 convolutions; in DeepLabV3's pyramid this, twice and three times this."""
    multi_grid: tuple[int, int, int] = (1, 1, 1)
    """Factors of the dilation 2 in the blocks of layer4 (ResNet-18 has two of them: the first two factors)."""
    precise_bn: int = Field(default=0, ge=0)
    """Batches from which the norms' statistics are computed before the evaluation; 0: the running averages."""
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
    def crop_size(self) -> tuple[int, int]:
        """Height and width of the training crops, in pixels."""
        return self.crop, round(self.crop * self.crop_aspect)

    @property
    def scales(self) -> tuple[float, ...]:
        """The scalings to draw from, where they are so many."""
        low, high = self.scale
        steps = (self.scale_choices or 0) - 1
        return tuple(low + (high - low) * step / steps for step in range(steps + 1))

    @property
    def last_dilations(self) -> tuple[int, int, int]:
        """Of the 3 × 3 convolutions in the blocks of layer4."""
        first, second, third = (LAST_DILATION * factor for factor in self.multi_grid)
        return first, second, third

    @property
    def steps(self) -> tuple[int, ...]:
        """The iterations after which the learning rate drops."""
        return tuple(round(share * self.iters) for share in self.milestones)

    def schedule(self) -> str:
        """The schedule in words."""
        fall = f"x{self.lr_factor:g} at {list(self.steps)}" if self.poly_power is None else f"to 0, power {self.poly_power:g}"
        return f"{self.iters} iterations of {self.batch} images, learning rate {self.lr:g}, {fall}"

    def with_iters(self, iters: int) -> Self:
        """A schedule of another length; the milestones keep their share of it, and the warm-up takes at most a tenth."""
        return self.replace({"iters": iters, "warmup_iters": min(self.warmup_iters, iters // 10)}, where="--iters")

    def with_batch(self, batch: int) -> Self:
        """Another batch, and the learning rate scaled with it."""
        return self.replace({"batch": batch, "lr": self.lr * batch / self.batch}, where="--batch")

    def with_precise_bn(self, batches: int) -> Self:
        """The norms' statistics from that many batches."""
        return self.replace({"precise_bn": batches}, where="--precise-bn")

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

GENERATED: dict[str, Any] = {**SMALL, "iters": 50, "class_balance": 0.5, "crop": 96, "short_side": 96}
"""What the generated data needs. While 70 % of its pixels are background, the first hundred steps would go by on learning
that: hence the balance."""

TABLE_6 = "arXiv 1911.05722, table 6: mean of 5"

CITYSCAPES = Task(
    name="cityscapes",
    version=1,
    title="semantic segmentation, FCN with dilation 6 at output stride 16, fine-tuned",
    source="arXiv 1911.05722, appendix A.5",
    layout="cityscapes",
    engines=("mmseg",),
    settings=SegmentationSettings(),
    small=SMALL,
    generated=GENERATED,
    metrics=("mIoU", "mAcc", "aAcc"),
    published=(Published(name="cityscapes-fcn-d6-os16", classes=19, val=500),),
    # The spread of the five is not printed.
    expected=(
        Expected(checkpoint="Supervised", metrics={"mIoU": 74.6}, source=TABLE_6),
        Expected(checkpoint="MoCo v1, 200 epochs", metrics={"mIoU": 75.3}, source=TABLE_6),
    ),
)
