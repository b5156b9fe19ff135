"""Frozen features of a job's images, read once: kept in the run's folder until the run is done.

Shapes: N images, D features.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pretrain.core import interrupt
from pretrain.images.crops import Crop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, Epochs, loader
from pretrain.inputs import normalised
from transfer.engines import state
from transfer.engines.job import Job
from transfer.representation.features import centre_features
from transfer.tasks.linear import LinearSettings
from transfer.tasks.probe import ProbeSettings

PREFIX = "features-"


def features(job: Job, model: nn.Module, images: ImageSet, name: str) -> tuple[Tensor, Tensor]:
    """Read the features (N, D) of every image's centre crop and the labels (N,), onto the CPU.

    Raises:
        CheckpointError: If the run's folder holds a broken file of them, or one of another run.
        Interrupted: If asked to stop, after what has been read was saved.
    """
    settings, path = job.settings, job.folder / f"{PREFIX}{name}.pth"
    assert isinstance(settings, ProbeSettings)
    kept = state.load(path, job.identity, {"features"})
    found = [kept["features"]] if kept else []
    done, total = sum(map(len, found)), len(images)
    how = {"size": settings.size, "batch": settings.batch, "num_workers": settings.num_workers}

    def save() -> str:
        if found:
            state.save(path, job.identity, {"features": torch.cat(found)})
        return f"features of {done} of {total} {name} images"

    with interrupt.saving(save):
        for part in centre_features(model, images, job.backbone.recipe.seen, **how, device=job.device, start=done):
            found.append(part)
            done += len(part)
            job.journal.step(f"features of {name}", done, total)
            by = interrupt.asked()
            if by:
                raise interrupt.Interrupted(by, save())
    save()
    return torch.cat(found), torch.tensor(np.asarray(images.labels, np.int64))


def feature_files(job: Job) -> list[Path]:
    """List the files that `features` left."""
    return list(job.folder.glob(f"{PREFIX}*.pth"))


def augmented(job: Job, model: nn.Module, images: ImageSet, batches: Epochs) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for each step the features (N, D) and labels (N,) of new random crops, on the job's device.

    Everything random is a function of the seed, the epoch, the image and the step: resuming needs no state.
    """
    settings = job.settings
    assert isinstance(settings, LinearSettings)
    crops = Crops(images, images.labels, [Crop(settings.size, settings.crop_scale)], seed=job.seed)
    for step, (views, labels, _) in enumerate(loader(crops, batches, num_workers=settings.num_workers), batches.start):
        rng = torch.Generator().manual_seed(job.seed * 1_000_003 + step)
        flipped = (torch.rand(len(labels), generator=rng) < 0.5).view(-1, 1, 1, 1)
        crop = torch.where(flipped, views[0].flip(-1), views[0]).to(job.device)
        with torch.inference_mode():
            found = model(normalised(crop.float() / 255, job.backbone.recipe.seen))
        yield found.clone(), labels.to(job.device)


def cached(job: Job, model: nn.Module, images: ImageSet, batches: Epochs) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the same of each image's centre crop, which is read once."""
    found, labels = features(job, model, images, "train")
    for positions in batches:
        chosen = torch.tensor([index for _, index in positions])
        yield found[chosen].to(job.device), labels[chosen].to(job.device)
