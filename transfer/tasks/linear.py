"""Linear evaluation on frozen features: as MoCo's authors do it, and its fast form."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator

from transfer.tasks import Expected, Noise, Published, Task
from transfer.tasks.probe import ProbeSettings

LR_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""What `--lr-search` tries, times the learning rate: the published 30 suits MoCo's features, which are small. For others far
less was published: 10 and 3 on ImageNet-100 (HobbitLong/CMC, solo-learn), 0.2 for LARS-trained ones (revisitAIRL)."""


class HeadSettings(ProbeSettings):
    """Settings of a linear classifier on frozen features."""

    RUNTIME: ClassVar[frozenset[str]] = ProbeSettings.RUNTIME | {"save_every"}
    BEST_EPOCH: ClassVar[bool] = True
    """Whether a run without a search reports the epoch that is best on the validation images; else it is the last one."""

    epochs: int = Field(100, ge=0)
    """Passes over the training images; 0 evaluates the untrained head."""
    lr: float = Field(30.0, gt=0)
    """Learning rate."""
    milestones: tuple[float, float] = (0.6, 0.8)
    """Fractions of the epochs after which the learning rate is divided by ten: epochs 60 and 80 of 100."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay of SGD."""
    feature_norm: bool = False
    """Batch normalisation without parameters before the classifier (He et al. 2022, arXiv:2111.06377, appendix A.1), which
    makes one learning rate fit backbones whose features differ in scale. The published protocol has none."""
    lr_search: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Learning rates tried side by side, as multiples of `lr`; none: `lr` alone, as published. The one that is reported, and
    its epoch, are chosen on training images that are held out for it, never on the validation images. `true` stands for nine
    usual multiples."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Fraction of each class's training images that a search holds out: no classifier is trained on them."""
    save_every: int = Field(1, ge=1)
    """Epochs between the states that a broken run resumes from."""

    @field_validator("lr_search", mode="before")
    @classmethod
    def _usual(cls, wanted: Any) -> Any:
        """Take true for the usual multiples, as `--lr-search` means them."""
        return (LR_GRID if wanted else ()) if isinstance(wanted, bool) else wanted

    @field_validator("lr_search")
    @classmethod
    def _rising(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
        if list(factors) != sorted(set(factors)):
            raise ValueError("rising multiples of lr, such as [0.1, 0.3, 1]")
        return factors

    @property
    def rates(self) -> tuple[float, ...]:
        """Return the learning rates that are trained."""
        return tuple(self.lr * factor for factor in self.lr_search or (1.0,))

    def with_batch(self, batch: int) -> Self:
        """Change the batch, and scale the learning rate linearly."""
        return self.replace({"batch": batch, "lr": self.lr * batch / self.batch})

    def with_lr_search(self, wanted: bool) -> Self:
        """Search for the best of the usual multiples of this learning rate."""
        return self.replace({"lr_search": wanted})

    def schedule(self) -> str:
        """Describe the schedule in words."""
        rates = f"{self.lr:g}" if not self.lr_search else f"the best of {', '.join(f'{rate:g}' for rate in self.rates)}"
        return f"{self.epochs} epochs of batches of {self.batch}, learning rate {rates}"


class LinearSettings(HeadSettings):
    """Settings of linear evaluation: the backbone sees new crops of the training images in every epoch."""

    crop_scale: tuple[float, float] = (0.08, 1.0)
    """Range of the fraction of the area that a training crop keeps."""


class CachedSettings(HeadSettings):
    """Settings of linear evaluation on the features of one centre crop of each image, which are read once and kept in a file:
    4 · D bytes for each image, 10 GB for ImageNet and a ResNet-50."""

    BEST_EPOCH: ClassVar[bool] = False


README = "facebookresearch/moco @132aea9, README.md"
NOISE = {"top1": Noise(sd=0.2, n=5, over="pre-trainings", source=f"{README}: 5 runs of MoCo v1")}
"""The larger of two: 0.1 over 5 runs of MoCo v2."""

SMALL: dict[str, Any] = {"size": 64, "batch": 64, "epochs": 4, "lr": 0.1, "feature_norm": True, "num_workers": 0}

LINEAR = Task(
    name="linear",
    version=2,
    title="linear classifier on the frozen backbone",
    source="facebookresearch/moco @7397dfe, main_lincls.py",
    layout="imagefolder",
    engines=("probe",),
    settings=LinearSettings(),
    small=SMALL,
    generated={**SMALL, "epochs": 3},
    metrics=("top1", "top5"),
    published=(Published(name="imagenet-linear", classes=1000, val=50_000, noise=NOISE),),
    expected=(
        Expected(checkpoint="MoCo v1, 200 epochs", metrics={"top1": 60.8}, spread={"top1": 0.2}, source=f"{README}: 5 runs"),
        Expected(checkpoint="MoCo v2, 200 epochs", metrics={"top1": 67.5}, spread={"top1": 0.1}, source=f"{README}: 5 runs"),
        Expected(checkpoint="MoCo v2, 800 epochs", metrics={"top1": 71.1}, source=README),
    ),
)
"""NOTE: the best epoch on the validation images is reported, as published."""

LINEAR_CACHED = Task(
    name="linear-cached",
    version=2,
    title="linear classifier on features that are read once",
    source="ours; the schedule is that of facebookresearch/moco @7397dfe, main_lincls.py",
    layout="imagefolder",
    engines=("probe",),
    settings=CachedSettings(save_every=10),
    small={**SMALL, "epochs": 50},
    metrics=("top1", "top5"),
)
"""NOTE: no paper's protocol, and so without expected numbers: the features are those of the centre crop, read once, where
papers train on new random crops in every epoch. It costs one pass over the images; compare it with itself alone. The last epoch
is reported: the best of 100 on 500 validation images of 10 classes is 13.5 % for features that know nothing of the labels. With
`--lr-search` it is the epoch that is best on the images held out for it."""
