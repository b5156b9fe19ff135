"""Weighted nearest neighbours on frozen features (Wu et al. 2018, arXiv:1805.01978, section 3.4)."""

from typing import Self

from pydantic import Field

from transfer.tasks import Task
from transfer.tasks.probe import ProbeSettings


class KnnSettings(ProbeSettings):
    """Settings of the vote of nearest neighbours."""

    neighbours: int = Field(200, ge=1)
    """Number of training images that vote."""
    temperature: float = Field(0.07, gt=0)
    """A vote's weight is exp(cosine / temperature)."""

    def with_batch(self, batch: int) -> Self:
        """Change the batch, which changes no number here."""
        return self.replace({"batch": batch})

    def schedule(self) -> str:
        """Describe the protocol in words."""
        return f"{self.neighbours} neighbours, temperature {self.temperature:g}"


KNN = Task(
    name="knn",
    version=1,
    title="weighted nearest neighbours on the frozen backbone",
    source="arXiv:1805.01978, section 3.4",
    layout="imagefolder",
    engines=("probe",),
    settings=KnnSettings(),
    small={"size": 64, "batch": 64, "neighbours": 20, "num_workers": 0},
    metrics=("knn",),
)
"""It expects no number: those of the paper are of its 128 dimensions, not of the backbone's features."""
