"""Settings shared by the protocols that train no backbone: linear evaluation and nearest neighbours."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator

from transfer.tasks import TaskSettings

LR_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""What `--lr-search` tries, times the learning rate: the published 30 suits MoCo's features, which are small. For others far
less was published: 10 and 3 on ImageNet-100 (HobbitLong/CMC, solo-learn), 0.2 for LARS-trained ones (revisitAIRL)."""


class ProbeSettings(TaskSettings):
    """What every protocol on frozen features has."""

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"num_workers"})

    size: int = Field(224, ge=16)
    """Side of a crop, in pixels."""
    batch: int = Field(256, ge=1)
    """Images per step."""
    num_workers: int = Field(2, ge=0)
    """Loader processes; 0 loads in the process itself."""

    def with_size(self, size: int) -> Self:
        """Another crop size."""
        return self.replace({"size": size})


class HeadSettings(ProbeSettings):
    """Training a linear classifier on frozen features."""

    RUNTIME: ClassVar[frozenset[str]] = ProbeSettings.RUNTIME | {"save_every"}

    epochs: int = Field(100, ge=0)
    """Passes over the training images; 0 evaluates the untrained head."""
    lr: float = Field(30.0, gt=0)
    """Learning rate."""
    milestones: tuple[float, float] = (0.6, 0.8)
    """Shares of the epochs after which the learning rate is divided by ten: epochs 60 and 80 of 100."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD."""
    weight_decay: float = Field(0.0, ge=0)
    """Of SGD."""
    feature_norm: bool = False
    """Batch normalisation without parameters before the classifier (He et al. 2022, arXiv:2111.06377, appendix A.1), which
    makes one learning rate fit backbones whose features differ in scale. The published protocol has none."""
    lr_search: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Learning rates tried side by side, as multiples of `lr`; none: `lr` alone, as published. The one that is reported, and
    its epoch, are chosen on training images that are held out for it, never on the validation images."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of each class's training images that a search holds out: no classifier is trained on them."""
    save_every: int = Field(1, ge=1)
    """Epochs between the states a broken run goes on from."""

    @field_validator("lr_search")
    @classmethod
    def _rising(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
        if list(factors) != sorted(set(factors)):
            raise ValueError("rising multiples of lr, such as [0.1, 0.3, 1]")
        return factors

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates that are trained."""
        return tuple(self.lr * factor for factor in self.lr_search or (1.0,))

    def with_batch(self, batch: int) -> Self:
        """Another batch, with the learning rate scaled linearly."""
        return self.replace({"batch": batch, "lr": self.lr * batch / self.batch})

    def with_lr_search(self, wanted: bool) -> Self:
        """The best of the usual multiples of this learning rate."""
        return self.replace({"lr_search": LR_GRID if wanted else ()})

    def schedule(self) -> str:
        """The schedule in words."""
        rates = f"{self.lr:g}" if not self.lr_search else f"the best of {', '.join(f'{rate:g}' for rate in self.rates)}"
        return f"{self.epochs} epochs of batches of {self.batch}, learning rate {rates}"


class LinearSettings(HeadSettings):
    """Linear evaluation: the backbone sees new crops of the training images in every epoch."""

    crop_scale: tuple[float, float] = (0.08, 1.0)
    """Share of the area that a training crop keeps."""


class CachedSettings(HeadSettings):
    """Linear evaluation on the features of one centre crop of each image, which are read once and kept in memory:
    4 · D bytes for each image, 10 GB for ImageNet and a ResNet-50."""


class KnnSettings(ProbeSettings):
    """Weighted nearest neighbours."""

    neighbours: int = Field(200, ge=1)
    """Training images that vote."""
    temperature: float = Field(0.07, gt=0)
    """A vote's weight is exp(cosine / temperature)."""

    def with_batch(self, batch: int) -> Self:
        """Another batch: it changes no number here."""
        return self.replace({"batch": batch})

    def schedule(self) -> str:
        """The schedule in words."""
        return f"{self.neighbours} neighbours, temperature {self.temperature:g}"
