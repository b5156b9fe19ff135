"""Weighted nearest neighbours on frozen features (Wu et al. 2018, arXiv:1805.01978, section 3.4)."""

from transfer.tasks import Task
from transfer.tasks.probe import KnnSettings

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
