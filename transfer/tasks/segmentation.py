"""What the segmentation protocols share: their settings, and how the command line's shortcuts change them.

The metric is the mean over classes of intersection over union, in percent, of all evaluated pixels together. A class that
occurs neither in the truth nor in the predictions has no union and is left out of the mean; a class that occurs in one of
them counts.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pretrain.core.errors import ConfigError
from pretrain.core.ranges import LARGEST
from transfer.tasks import TaskSettings
from transfer.tasks.length import require_reached, shorter_warmup

METRICS = ("mIoU", "mAcc", "aAcc")
"""Mean intersection over union, mean accuracy of the classes, accuracy of all pixels."""
OUTPUT_STRIDE = 16
"""Pixels per cell of the backbone's last map."""
LAST_DILATION = 2
"""Dilation of the 3 × 3 convolutions of the backbone's last stage, which has no stride."""


class SegmentationSettings(TaskSettings):
    """Train a segmenter from a backbone. The defaults are those of MoCo's paper (arXiv 1911.05722, A.5)."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"usual_side", "num_workers", "checkpoint_every"})

    # These change the numbers.
    family: str
    """Kind of the head."""
    iters: int = Field(default=90_000, ge=0)
    """Training iterations; 0 evaluates the untrained model."""
    batch: int = Field(default=16, ge=1)
    """Images per iteration."""
    lr: float = Field(default=0.01, gt=0)
    """Learning rate of SGD at the start."""
    milestones: tuple[float, ...] = (0.7, 0.9)
    """Fractions of the iterations after which the learning rate is multiplied by `lr_factor`."""
    lr_factor: float = Field(default=0.1, gt=0)
    """Factor at each milestone."""
    poly_power: float | None = Field(default=None, gt=0)
    """The learning rate falls as (1 - done / iters) to this power, without milestones; null: by milestones alone."""
    warmup_iters: int = Field(default=0, ge=0)
    """Iterations over which the learning rate rises; the paper names none."""
    warmup_factor: float = Field(default=0.1, gt=0, le=1)
    """Fraction of the learning rate that the warm-up starts from."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD. The paper doesn't state it; 0.9 as in its other tasks."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Weight decay of SGD."""
    norm_decay: bool = True
    """Whether the weights and biases of the norms decay, too."""
    hard_pixels: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the pixels, those with the largest losses, that the loss is the mean over."""
    class_balance: float = Field(default=0.0, ge=0, le=1)
    """Weigh a class in the loss with its fraction of the training pixels to the power of minus this; 0: all the same, as
    published; 1: by the inverse of the fraction (median frequency balancing, arXiv 1411.4734)."""
    crop: int = Field(default=769, ge=32, le=LARGEST)
    """Height of the training crops, in pixels."""
    crop_aspect: float = Field(default=1.0, gt=0)
    """Width of the training crops, in their heights."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random scaling before the crop."""
    scale_choices: int | None = Field(default=None, ge=2)
    """Draw the scaling from that many evenly spaced values of the range; null: from anything between."""
    short_side: int | None = Field(default=None, ge=32, le=LARGEST)
    """Short side, in pixels, that images are resized to, for training (before the random scaling) and for testing; null
    for their own size. Predictions are always compared with the truth at its own size."""
    window_stride: int | None = Field(default=None, ge=1)
    """Segment test images in overlapping windows of a training crop's size, that many pixels apart; null: as a whole."""
    head_channels: int = Field(default=256, ge=1)
    """Channels of the head's convolutions."""
    head_dilation: int = Field(default=6, ge=1)
    """Dilation of the head's 3 × 3 convolutions."""
    multi_grid: tuple[int, int, int] = (1, 1, 1)
    """Factors of the dilation 2 in the blocks of layer4 (ResNet-18 has two of them: the first two factors)."""
    precise_bn: int = Field(default=0, ge=0)
    """Batches from which the norms' statistics are computed before the evaluation; 0: the running averages."""
    max_val_images: int | None = Field(default=None, ge=1)
    """Evaluate on that many images, evenly spread over the validation list; null for all."""

    # These do not.
    usual_side: int | None = Field(default=None, ge=32)
    """Short side, in pixels, of the images that `crop` is meant for where `short_side` is null: --size scales from it."""
    num_workers: int = Field(default=4, ge=0)
    """Worker processes that read images."""
    checkpoint_every: int = Field(default=5_000, ge=1)
    """Iterations between the checkpoints that a broken run resumes from."""

    @field_validator("milestones")
    @classmethod
    def _rising_fractions(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if list(fractions) != sorted(set(fractions)) or any(not 0 < each < 1 for each in fractions):
            raise ValueError("rising fractions of the iterations between 0 and 1, such as [0.7, 0.9]")
        return fractions

    @field_validator("scale")
    @classmethod
    def _range(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError("two positive numbers, the smaller one first, such as [0.5, 2.0]")
        return scale

    @model_validator(mode="after")
    def _whole_warmup(self) -> Self:
        require_reached(self.iters, warmup=self.warmup_iters)
        return self

    @property
    def crop_size(self) -> tuple[int, int]:
        """Return the height and width of the training crops, in pixels."""
        return self.crop, round(self.crop * self.crop_aspect)

    @property
    def scales(self) -> tuple[float, ...]:
        """Return the scalings to draw from, where `scale_choices` sets their number."""
        low, high = self.scale
        steps = (self.scale_choices or 0) - 1
        return tuple(low + (high - low) * step / steps for step in range(steps + 1))

    @property
    def last_dilations(self) -> tuple[int, int, int]:
        """Return the dilations of the 3 × 3 convolutions in the blocks of layer4."""
        first, second, third = (LAST_DILATION * factor for factor in self.multi_grid)
        return first, second, third

    @property
    def steps(self) -> tuple[int, ...]:
        """Return the iterations after which the learning rate drops."""
        return tuple(round(fraction * self.iters) for fraction in self.milestones)

    def schedule(self) -> str:
        """Describe the schedule in words."""
        fall = f"x{self.lr_factor:g} at {list(self.steps)}" if self.poly_power is None else f"to 0, power {self.poly_power:g}"
        return f"{self.iters} iterations of {self.batch} images, learning rate {self.lr:g}, {fall}"

    def with_iters(self, iters: int) -> Self:
        """Change the length; the milestones keep their fraction of it, and the warm-up takes at most a tenth."""
        return self.replace({"iters": iters, "warmup_iters": shorter_warmup(self.warmup_iters, iters)}, where="--iters")

    def with_batch(self, batch: int) -> Self:
        """Change the batch, and scale the learning rate with it."""
        return self.replace({"batch": batch, "lr": self.lr * batch / self.batch}, where="--batch")

    def with_precise_bn(self, batches: int) -> Self:
        """Compute the norms' statistics from that many batches."""
        return self.replace({"precise_bn": batches}, where="--precise-bn")

    def with_size(self, short_side: int) -> Self:
        """Resize images to another short side, for training and testing; the crop keeps its fraction of it.

        Raises:
            ConfigError: If it isn't known which size of image the crop is meant for.
        """
        before = self.short_side or self.usual_side
        if before is None:
            fix = "set both: --set short_side=... --set crop=..."
            raise ConfigError("--size can't scale the crop", seen="short_side null", allowed="a short side", fix=fix)
        return self.replace({"short_side": short_side, "crop": round(self.crop * short_side / before)}, where="--size")


class FCNSettings(SegmentationSettings):
    """Train a fully convolutional head: dilated convolutions on the backbone's last map."""

    family: Literal["fcn"] = "fcn"
    """Kind of the head."""
    head_convs: int = Field(default=2, ge=0)
    """Number of 3 × 3 convolutions in the head."""


class DeepLabV3Settings(SegmentationSettings):
    """Train DeepLabV3's head: a pyramid of dilated convolutions (arXiv 1706.05587)."""

    family: Literal["deeplabv3"] = "deeplabv3"
    """Kind of the head."""
    head_dilation: int = Field(default=6, ge=1)
    """Smallest dilation of the pyramid's 3 × 3 convolutions; the others have twice and three times this."""


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
