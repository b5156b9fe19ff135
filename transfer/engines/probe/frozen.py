"""Frozen features of a job's images; of several processes each computes a part of a step's, and has all of them.

Shapes: N images, D features.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from pretrain.core import distributed
from pretrain.core.upload import upload
from pretrain.core.workers import count
from pretrain.images.crops import Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, Epochs, InOrder, loader, stretch
from pretrain.inputs import normalised
from transfer.engines.job import Job
from transfer.representation import featurefile
from transfer.representation.features import centre_features
from transfer.tasks.linear import LinearSettings
from transfer.tasks.probe import ProbeSettings


def features(job: Job, model: nn.Module, images: ImageSet, name: str) -> tuple[Tensor, Tensor]:
    """Return what `mapped` does as tensors on the CPU: features (N, D), of which what is asked for is read, and labels (N,)."""
    found, labels = mapped(job, model, images, name)
    return torch.from_numpy(found), labels


def mapped(job: Job, model: nn.Module, images: ImageSet, name: str) -> tuple[featurefile.Rows, Tensor]:
    """Read the features (N, D) of every image's centre crop into a file, once for all runs; returns it mapped, and labels (N,).

    Raises:
        DataError: If an image can't be read, or the disk is too small for them.
        Interrupted: If asked to stop; what has been read stays.
    """
    settings, backbone, seen = job.settings, job.backbone, job.backbone.recipe.seen
    assert isinstance(settings, ProbeSettings)
    size, batch, device = settings.size, settings.batch, job.device
    chip = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    how = {"size": size, "batch": batch, "device": chip, "seen": repr(seen), "tf32": settings.tf32}
    key = featurefile.key_of(images, {**how, "backbone": backbone.identity, "features": settings.features})

    def read(batches: InOrder) -> Iterator[Tensor]:
        workers = count(settings.num_workers, device)
        return centre_features(model, images, seen, size=size, batch=batch, num_workers=workers, device=device, batches=batches)

    width = featurefile.width_of(model, size, device)
    found = featurefile.features(images, name, f"{backbone.arch}-{size}px-{key}", read, job.journal, batch=batch, width=width)
    return found, torch.tensor(np.asarray(images.labels, np.int64))


def augmented(job: Job, model: nn.Module, images: ImageSet, batches: Epochs) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for each step the features (N, D) and labels (N,) of new random crops, on the job's device.

    Everything random is a function of the seed, the epoch, the image and the step: resuming needs no state.
    """
    settings = job.settings
    assert isinstance(settings, LinearSettings)
    crops = Crops(images, images.labels, [Crop(settings.size, settings.crop_scale)], seed=job.seed)
    mine = slice(*batches.bounds)
    workers, device = count(settings.num_workers, job.device), torch.device(job.device)
    loaded = loader(crops, batches, num_workers=workers, pinned=device.type == "cuda")
    for step, (views, labels, _) in enumerate(loaded, batches.start):
        rng = torch.Generator().manual_seed(job.seed * 1_000_003 + step)
        flipped = upload((torch.rand(batches.batch, generator=rng) < 0.5)[mine].view(-1, 1, 1, 1), device)
        crop, there = views[0].to(device, non_blocking=True), labels.to(device, non_blocking=True)
        crop = torch.where(flipped, crop.flip(-1), crop)
        with torch.inference_mode():
            found = model(normalised(crop.float() / 255, job.backbone.recipe.seen))
        yield _whole(found.clone(), batches.batch), _whole(there, batches.batch)


def _whole(mine: Tensor, batch: int) -> Tensor:
    """Put the processes' stretches (n, ...) of a step together: (batch, ...). They may differ by one in length."""
    world = distributed.world()
    if world == 1:
        return mine
    padded = mine.new_zeros((-(-batch // world), *mine.shape[1:]))
    padded[: len(mine)] = mine
    sizes = [last - first for first, last in (stretch(batch, part, world) for part in range(world))]
    return torch.cat([part[:size] for part, size in zip(distributed.gather(padded).split(len(padded)), sizes, strict=True)])


def cached(job: Job, model: nn.Module, images: ImageSet, batches: Epochs) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the same of each image's centre crop, which is read once."""
    found, labels = features(job, model, images, "train")
    device = torch.device(job.device)
    kept = found.to(device) if _has_room(device, found.nbytes) else found
    for positions in batches:
        chosen = torch.tensor([index for _, index in positions])
        rows = kept[upload(chosen, kept.device)]
        yield rows if rows.device == device else upload(rows, device), upload(labels[chosen], device)


def _has_room(device: torch.device, size: int) -> bool:
    """Tell whether so many bytes are no more than half of what is free on a GPU; on other devices nothing is kept."""
    return device.type == "cuda" and size <= torch.cuda.mem_get_info(device)[0] // 2
