"""The engine of the frozen-feature protocols: linear evaluation and nearest neighbours.

Shapes: N images, D features, C classes.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.crops import Crop
from pretrain.data import Crops, Epochs, loader
from pretrain.errors import DataError, EngineError
from pretrain.inputs import normalised
from pretrain.journal import duration
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines import Job, Outcome
from transfer.features import centre_features, extractor
from transfer.tasks.probe import KnnSettings, LinearSettings

TIMED_IMAGES = 8
"""Images timed for an estimate."""


def fit(job: Job) -> Outcome:
    """Run the task's protocol on frozen features.

    Raises:
        EngineError: If a backbone tensor moved, which would make the number another protocol's.
    """
    model, proof = extractor(job.backbone, job.device)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if job.announce_time:
        _announce(job, model)
    run = _linear if isinstance(job.settings, LinearSettings) else _knn
    metrics = run(job, model)
    moved = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    if moved:
        raise EngineError("the frozen backbone moved", seen=f"{len(moved)} tensors, the first are {moved[:3]}")
    return Outcome(metrics, proof)


def _features(job: Job, model: nn.Module, split: str) -> tuple[Tensor, Tensor]:
    settings = job.settings
    assert isinstance(settings, (LinearSettings, KnnSettings))
    return centre_features(
        model,
        getattr(job.data, split),
        size=settings.size,
        batch=settings.batch,
        num_workers=settings.num_workers,
        device=job.device,
        journal=job.journal,
        stage=f"features of {split}",
    )


def _knn(job: Job, model: nn.Module) -> dict[str, float | None]:
    settings, data = job.settings, job.data
    assert isinstance(settings, KnnSettings)
    assert isinstance(data, ClassificationData)
    if settings.neighbours > len(data.train):
        raise DataError("more neighbours than training images", seen=f"{settings.neighbours} of {len(data.train)}")
    train, train_labels = _features(job, model, "train")
    val, val_labels = _features(job, model, "val")
    k, temperature = settings.neighbours, settings.temperature
    votes = knn_votes(train, train_labels, val, classes=data.ref.classes, k=k, temperature=temperature)
    return {"knn": _top(votes, val_labels, 1)}


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


def _linear(job: Job, model: nn.Module) -> dict[str, float | None]:
    settings, data = job.settings, job.data
    assert isinstance(settings, LinearSettings)
    assert isinstance(data, ClassificationData)
    val, val_labels = _features(job, model, "val")
    head, optimizer = _head(val.shape[1], data.ref.classes, settings, job)
    batches = Epochs(len(data.train), batch=min(settings.batch, len(data.train)), epochs=settings.epochs, seed=job.seed)
    crops = Crops(data.train, data.train.labels, [Crop(settings.size, settings.crop_scale)], seed=job.seed)
    best = _accuracies(head, val, val_labels)
    for step, (views, labels, _) in enumerate(loader(crops, batches, num_workers=settings.num_workers)):
        epoch = step // batches.steps_per_epoch
        for group in optimizer.param_groups:
            group["lr"] = lr_at(settings, epoch)
        rng = torch.Generator().manual_seed(job.seed * 1_000_003 + step)
        flipped = (torch.rand(len(labels), generator=rng) < 0.5).view(-1, 1, 1, 1)
        images = torch.where(flipped, views[0].flip(-1), views[0]).to(job.device)
        with torch.inference_mode():
            features = model(normalised(images.float() / 255))
        loss = F.cross_entropy(head(features.clone()), labels.to(job.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        job.journal.step("linear", step + 1, len(batches), loss=float(loss.detach()))
        if (step + 1) % batches.steps_per_epoch == 0:
            now = _accuracies(head, val, val_labels)
            best = max(best, now, key=lambda accuracies: accuracies["top1"] or 0.0)
    return best


def lr_at(settings: LinearSettings, epoch: int) -> float:
    """Learning rate of an epoch."""
    return settings.lr * 0.1 ** sum(epoch >= share * settings.epochs for share in settings.milestones)


def _head(inputs: int, classes: int, settings: LinearSettings, job: Job) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The classifier, weights from N(0, 0.01) and bias 0 as published, and its optimiser."""
    linear = nn.Linear(inputs, classes)
    with torch.no_grad():
        linear.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(job.seed))
        linear.bias.zero_()
    norm = nn.BatchNorm1d(inputs, affine=False) if settings.feature_norm else nn.Identity()
    head = nn.Sequential(norm, linear).to(job.device)
    optimizer = torch.optim.SGD(head.parameters(), settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
    return head, optimizer


@torch.no_grad()
def _accuracies(head: nn.Module, features: Tensor, labels: Tensor) -> dict[str, float | None]:
    logits = head.eval()(features.to(next(head.parameters()).device)).cpu()
    head.train()
    return {"top1": _top(logits, labels, 1), "top5": _top(logits, labels, 5)}


def _top(scores: Tensor, labels: Tensor, k: int) -> float | None:
    """Percentage of rows whose label is among the k highest scores; None where there are no more than k classes."""
    if scores.shape[1] <= k:
        return None
    hit = (scores.topk(k, dim=1).indices == labels[:, None]).any(dim=1)
    return float(hit.float().mean()) * 100


def _announce(job: Job, model: nn.Module) -> None:
    settings, data = job.settings, job.data
    assert isinstance(settings, (LinearSettings, KnnSettings))
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
