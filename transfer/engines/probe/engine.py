"""The engine of the frozen-feature protocols: linear evaluation and nearest neighbours.

Shapes: N images, D features, C classes.
"""

import dataclasses
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.core.errors import DataError, EngineError
from pretrain.core.journal import duration
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines import Job, Outcome
from transfer.engines.probe import frozen, linear
from transfer.engines.probe.heads import top
from transfer.representation.features import extractor
from transfer.tasks.probe import KnnSettings, LinearSettings, ProbeSettings

TIMED_IMAGES = 8
"""Images timed for an estimate."""


def fit(job: Job) -> Outcome:
    """Run the task's protocol on frozen features; goes on from what a broken run left in `job.folder`.

    Raises:
        EngineError: If a backbone tensor moved, which would make the number another protocol's.
        CheckpointError: If the folder holds a broken state, or one of another run.
        Interrupted: If asked to stop, after what there is was saved.
    """
    model, proof = extractor(job.backbone, job.device)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if job.announce_time:
        _announce(job, model)
    outcome = (_knn if isinstance(job.settings, KnnSettings) else linear.fit)(job, model, proof)
    moved = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    if moved:
        raise EngineError("the frozen backbone moved", seen=f"{len(moved)} tensors, the first are {moved[:3]}")
    return dataclasses.replace(outcome, spent=(job.folder / linear.STATE, *frozen.kept(job)))


def _knn(job: Job, model: nn.Module, proof: dict[str, float]) -> Outcome:
    settings, data = job.settings, job.data
    assert isinstance(settings, KnnSettings)
    assert isinstance(data, ClassificationData)
    if settings.neighbours > len(data.train):
        raise DataError("more neighbours than training images", seen=f"{settings.neighbours} of {len(data.train)}")
    train, train_labels = frozen.features(job, model, data.train, "train")
    val, val_labels = frozen.features(job, model, data.val, "val")
    k, temperature = settings.neighbours, settings.temperature
    votes = knn_votes(train, train_labels, val, classes=data.ref.classes, k=k, temperature=temperature)
    return Outcome({"knn": top(votes, val_labels, 1)}, proof)


def knn_votes(train: Tensor, labels: Tensor, queries: Tensor, *, classes: int, k: int, temperature: float) -> Tensor:
    """(M, C): for each query the sum over its k nearest training features of exp(cosine / temperature), by class.

    Args:
        train: (N, D).
        labels: (N,).
        queries: (M, D).
        classes: C.
        k: Neighbours that vote.
        temperature: Of the votes.
    """
    train, votes = F.normalize(train, dim=1), []
    for part in F.normalize(queries, dim=1).split(1024):
        cosine, nearest = (part @ train.T).topk(k, dim=1)
        weight = (cosine / temperature).exp()
        votes.append(torch.zeros(len(part), classes).scatter_add_(1, labels[nearest], weight))
    return torch.cat(votes)


def _announce(job: Job, model: nn.Module) -> None:
    settings, data = job.settings, job.data
    assert isinstance(settings, ProbeSettings)
    assert isinstance(data, ClassificationData)
    images = torch.zeros(TIMED_IMAGES, 3, settings.size, settings.size, device=job.device)
    with torch.inference_mode():
        model(images)
        began = time.monotonic()
        model(images)
    each = (time.monotonic() - began) / TIMED_IMAGES
    passes = settings.epochs if isinstance(settings, LinearSettings) else 1
    total = passes * len(data.train) + len(data.val)
    job.journal.say(f"estimated time: {duration(each * total)} ({total:,} forward passes, {TIMED_IMAGES} timed now)")
