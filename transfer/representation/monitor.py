"""Nearest-neighbour accuracy while a backbone trains: a glance, on part of the images, at what it has learnt so far.

Shapes: N images, D features.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pretrain import backbones
from pretrain.images.imageset import ImageSet
from pretrain.train import Monitor
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines.probe.knn import knn_votes
from transfer.representation.features import centre_features
from transfer.tasks.knn import KNN, KnnSettings

MOST_TRAIN, MOST_VAL = 10_000, 2_000
"""Images looked at, spread evenly."""


def monitor(images: ClassificationData, *, arch: str, size: int, batch: int, device: str) -> Monitor:
    """Build a monitor that yields `knn`, in percent: validation images classified by their nearest training images.

    Neighbours and temperature are those of the task `knn` with its small budget.

    Args:
        images: Training and validation images.
        arch: A name of `pretrain.backbones.BACKBONES`.
        size: Side of the centre crops, in pixels.
        batch: Images per forward pass.
        device: Where features are computed.
    """
    part = glanced(images)
    train, val = part.train, part.val
    settings = KNN.settings.replace(KNN.small)
    assert isinstance(settings, KnnSettings)

    def measure(state: dict[str, Tensor]) -> dict[str, float]:
        model = backbones.get(arch).network(state).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

        def features(part: ImageSet) -> tuple[Tensor, Tensor]:
            found = centre_features(model, part, size=size, batch=batch, num_workers=0, device=device)
            return torch.cat(list(found)), torch.tensor(np.asarray(part.labels, np.int64))

        known, labels = features(train)
        queries, truth = features(val)
        classes, k = len(images.train.classes), min(settings.neighbours, len(known))
        votes = knn_votes(known, labels, queries, classes=classes, k=k, temperature=settings.temperature)
        return {"knn": float((votes.argmax(dim=1) == truth).float().mean()) * 100}

    return measure


def glanced(images: ClassificationData) -> ClassificationData:
    """Choose the part of the images that a monitor looks at; of that part itself it is all."""
    return replace(images, train=_spread(images.train, MOST_TRAIN), val=_spread(images.val, MOST_VAL))


def _spread(images: ImageSet, most: int) -> ImageSet:
    chosen = torch.linspace(0, len(images) - 1, min(most, len(images))).long().tolist()
    return images.part(chosen)
