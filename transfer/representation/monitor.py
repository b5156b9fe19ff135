"""Nearest-neighbour accuracy while a backbone trains: a glance, on part of the images, at what it has learnt so far.

Shapes: N images, D features.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pretrain import backbones
from pretrain.core import distributed
from pretrain.images.imageset import ImageSet
from pretrain.train import Monitor
from transfer.datasets.imagefolder import ClassificationData
from transfer.engines.probe.knn import knn_votes
from transfer.representation.features import centre_features
from transfer.tasks.knn import KNN, KnnSettings

MOST_TRAIN, MOST_VAL = 10_000, 2_000
"""Images looked at, spread evenly."""


def monitor(images: ClassificationData, *, arch: str, size: int, batch: int, device: str, num_workers: int = 0) -> Monitor:
    """Build a monitor that yields `knn`, in percent: validation images classified by their nearest training images.

    Neighbours and temperature are those of the task `knn` with its small budget. Several processes each read a part of the
    images, all by the first one's backbone, and the others than the first yield nothing.

    Args:
        images: Training and validation images.
        arch: A name of `pretrain.backbones.BACKBONES`.
        size: Side of the centre crops, in pixels.
        batch: Images per forward pass.
        device: Where features are computed.
        num_workers: Loader workers.
    """
    part = glanced(images)
    train, val = part.train, part.val
    settings = KNN.settings.replace(KNN.small)
    assert isinstance(settings, KnnSettings)

    def measure(state: dict[str, Tensor]) -> dict[str, float]:
        own = {name: tensor.clone() for name, tensor in state.items()}
        distributed.as_the_first(own.values())  # running statistics are each process's own
        model = backbones.get(arch).network(own).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

        def features(part: ImageSet) -> np.ndarray:
            mine = part.part(list(distributed.dealt(range(len(part)))))
            found = centre_features(model, mine, size=size, batch=batch, num_workers=num_workers, device=device)
            rows = distributed.collected([row for each in found for row in each.numpy()])
            return np.array(rows)

        found = [features(part) for part in (train, val)]
        if distributed.rank():
            return {}
        known, queries = map(torch.from_numpy, found)
        labels, truth = (torch.tensor(np.asarray(part.labels, np.int64)) for part in (train, val))
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
