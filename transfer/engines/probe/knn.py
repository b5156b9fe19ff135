"""Nearest neighbours on frozen features.

Shapes: N training images, M queries, D features, C classes.
"""

from collections.abc import Iterable
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.core import distributed
from pretrain.core.errors import DataError
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines.job import Job
from transfer.engines.probe import frozen
from transfer.engines.probe.classifiers import top
from transfer.representation import featurefile
from transfer.tasks.knn import KnnSettings

QUERIES = 1024
"""Queries compared at once."""
COLUMNS = 2**15
"""Training images that they are compared with at once: 128 MiB of cosines."""


def knn_metrics(job: Job, model: nn.Module) -> dict[str, float | None]:
    """Classify the validation images by the votes of the training images; returns the accuracy in percent.

    Raises:
        DataError: If there are fewer training images than neighbours.
        Interrupted: If a signal asked for a stop; what has been read of the features stays.
    """
    settings, data = job.settings, job.data
    assert isinstance(settings, KnnSettings)
    assert isinstance(data, ClassificationData)
    if settings.neighbours > len(data.train):
        seen, fix = f"{settings.neighbours} of {len(data.train)}", f"--set neighbours={len(data.train)}, or fewer"
        raise DataError("more neighbours than training images", seen=seen, allowed="as many as images, or fewer", fix=fix)
    train, train_labels = frozen.mapped(job, model, data.train, "train")
    val, val_labels = frozen.features(job, model, data.val, "val")
    if distributed.rank():
        return {}
    parts, classes = featurefile.stretches(train, COLUMNS), data.ref.classes
    k, temperature = settings.neighbours, settings.temperature
    votes = votes_of(parts, train_labels, val, classes=classes, k=k, temperature=temperature, device=job.device)
    return {"knn": top(votes, val_labels, 1)}


def knn_votes(train: Tensor, labels: Tensor, queries: Tensor, *, classes: int, k: int, temperature: float) -> Tensor:
    """Sum votes as `votes_of` does, of training features (N, D) in memory, on the CPU."""
    return votes_of(train.split(COLUMNS), labels, queries, classes=classes, k=k, temperature=temperature, device="cpu")


def votes_of(
    train: Iterable[Tensor], labels: Tensor, queries: Tensor, *, classes: int, k: int, temperature: float, device: str
) -> Tensor:
    """Sum for each query, over its k nearest training features, exp((cosine − cosine of the nearest) / temperature): (M, C).

    These are the votes exp(cosine / temperature) in parts of the nearest one's, which is then 1: no temperature overflows them.

    Args:
        train: Training features (N, D) in stretches, which are compared one after the other.
        labels: Their labels, (N,).
        queries: Features to classify, (M, D).
        classes: Number of classes, C.
        k: Number of neighbours that vote.
        temperature: Temperature of the votes.
        device: Where they are compared; everything else, and the result, is on the CPU.
    """
    normed, first = F.normalize(queries.to(device), dim=1), 0
    best: list[tuple[Tensor, Tensor]] = []
    for stretch in train:
        part = F.normalize(stretch.to(device), dim=1)
        best = [_nearest(each, part, first, k, known) for each, known in zip_longest(normed.split(QUERIES), best)]
        first += len(part)
    there, votes = labels.to(device), []
    for cosine, nearest in best:
        weight = ((cosine - cosine[:, :1]) / temperature).exp()
        votes.append(weight.new_zeros(len(cosine), classes).scatter_add_(1, there[nearest], weight).cpu())
    return torch.cat(votes)


def _nearest(queries: Tensor, part: Tensor, first: int, k: int, known: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """Find the k nearest of a part of the training images and of those known from earlier parts.

    Args:
        queries: Normalised, (Q, D).
        part: Normalised, (P, D).
        first: Index of the part's first image.
        k: Neighbours.
        known: Cosines and indices (Q, at most k) of those known; None: there are none.

    Returns:
        Their cosines, falling, and their indices.
    """
    cosine, index = (queries @ part.T).topk(min(k, len(part)), dim=1)
    if known is None:
        return cosine, index + first
    cosines, indices = torch.cat([known[0], cosine], dim=1), torch.cat([known[1], index + first], dim=1)
    cosine, place = cosines.topk(min(k, cosines.shape[1]), dim=1)
    return cosine, indices.gather(1, place)
