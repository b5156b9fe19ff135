"""Settings shared by the protocols that train no backbone: linear evaluation and nearest neighbours."""

from typing import ClassVar, Self

from pydantic import Field

from transfer.tasks import TaskSettings


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


class LinearSettings(ProbeSettings):
    """Linear evaluation."""

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
    crop_scale: tuple[float, float] = (0.08, 1.0)
    """Share of the area that a training crop keeps."""
    feature_norm: bool = False
    """Batch normalisation without parameters before the classifier (He et al. 2022, arXiv:2111.06377, appendix A.1), which
    makes one learning rate fit backbones whose features differ in scale. The published protocol has none."""

    def with_batch(self, batch: int) -> Self:
        """Another batch, with the learning rate scaled linearly."""
        return self.replace({"batch": batch, "lr": self.lr * batch / self.batch})

    def schedule(self) -> str:
        """The schedule in words."""
        return f"{self.epochs} epochs of batches of {self.batch}, learning rate {self.lr:g}"


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
