"""Nearest neighbours on frozen features.

Shapes: N training images, M queries, D features, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.core.errors import DataError
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines.job import Job
from transfer.engines.probe import frozen
from transfer.engines.probe.classifiers import top
from transfer.tasks.knn import KnnSettings

QUERIES = 1024
"""Queries compared with all training images at once."""


def knn_metrics(job: Job, model: nn.Module) -> dict[str, float | None]:
    """Classify the validation images by the votes of the training images; returns the accuracy in percent.

    Raises:
        DataError: If there are fewer training images than neighbours.
        Interrupted: If a signal asked for a stop, after the features read so far were saved.
    """
    settings, data = job.settings, job.data
    assert isinstance(settings, KnnSettings)
    assert isinstance(data, ClassificationData)
    if settings.neighbours > len(data.train):
        raise DataError("more neighbours than training images", seen=f"{settings.neighbours} of {len(data.train)}")
    train, train_labels = frozen.features(job, model, data.train, "train")
    val, val_labels = frozen.features(job, model, data.val, "val")
    k, temperature = settings.neighbours, settings.temperature
    votes = knn_votes(train, train_labels, val, classes=data.ref.classes, k=k, temperature=temperature)
    return {"knn": top(votes, val_labels, 1)}


def knn_votes(train: Tensor, labels: Tensor, queries: Tensor, *, classes: int, k: int, temperature: float) -> Tensor:
    """Sum for each query, over its k nearest training features, exp((cosine − cosine of the nearest) / temperature): (M, C).

    These are the votes exp(cosine / temperature) in parts of the nearest one's, which is then 1: no temperature overflows them.

    Args:
        train: Training features, (N, D).
        labels: Their labels, (N,).
        queries: Features to classify, (M, D).
        classes: Number of classes, C.
        k: Number of neighbours that vote.
        temperature: Temperature of the votes.
    """
    train, votes = F.normalize(train, dim=1), []
    for part in F.normalize(queries, dim=1).split(QUERIES):
        cosine, nearest = (part @ train.T).topk(k, dim=1)
        weight = ((cosine - cosine[:, :1]) / temperature).exp()
        votes.append(torch.zeros(len(part), classes).scatter_add_(1, labels[nearest], weight))
    return torch.cat(votes)
