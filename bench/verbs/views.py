"""`bench views`: draw what the network will see, to look at before it is trained."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import grid
from bench.options import Place, Setup
from bench.verbs.pretrain_settings import configuration, find
from pretrain import augment, inputs
from pretrain.augment.mixed import Mixed
from pretrain.batch import Batch
from pretrain.config import PretrainConfig
from pretrain.core.counts import counted
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Progress
from pretrain.guides import guides
from pretrain.images import cache
from pretrain.images.crops import CentreCrop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, Epochs
from pretrain.images.training_set import TrainingSet
from pretrain.trainer import Trainer

EPOCHS = 3
"""Number of epochs whose query view is drawn."""
MOST = 64
"""Rows of a grid at most."""
FEWEST = 2
"""Images of a batch over which a network can normalise."""
SHARES = 1024
"""Blends that the mean share is taken over; it is then known to about ± 0.02."""


def run(options: Mapping[str, Any], setup: Setup, place: Place, progress: Progress, out: Path, images: int) -> str:
    """Draw a grid and return what was drawn, in words, with the mean share that an image keeps of its blend.

    Args:
        options: Fields of `PretrainConfig`, as for `bench pretrain`.
        setup: Of it, the configuration and the budget.
        place: Of it, the data.
        progress: Called while data is generated.
        out: The picture.
        images: Rows of the grid.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    grid.check(out)
    if not 1 <= images <= MOST:
        raise ConfigError("can't draw that many images", seen=images, allowed=f"1 to {MOST}")
    _, config = configuration(options, setup, place.data, place.device_name())
    _, data, _ = find(config, place.data, progress)
    train = data.train
    if len(train) < images:
        raise DataError(f"fewer images than asked for in {train.root}", seen=len(train), fix=f"lower --images to {len(train)}")
    asks = augment.asked(config.aug)
    if asks and images < FEWEST:
        raise ConfigError(
            "a network sees no fewer images", seen=f"--images {images}", allowed=f"{FEWEST} or more with {config.aug}"
        )
    title = f"{config.aug} on {config.recipe.pipeline}, {config.size} px, seed {config.seed}"
    title += f", {' and '.join(asks)} of the untrained network" if asks else ""
    grid.draw(title, columns(config, train, images)).save(out, format="PNG")
    return f"{out}: {counted(images, 'image')}, {title}" + _shares(config)


def _shares(config: PretrainConfig) -> str:
    """Say which fraction of its blend an image keeps on average, and at least; empty where nothing is blended, and where the
    network decides.
    """
    if augment.asked(config.aug):
        return ""
    blank = torch.zeros(MOST, 1, config.size, config.size)
    drawn = [config.augmentation()(blank, inputs.generator(config.seed, step)) for step in range(SHARES // MOST)]
    own = [mixed.weights[:, 0] for mixed in drawn if mixed.weights is not None]
    if not own:
        return ""
    law = "at least half" if config.method.folds else "λ as published"
    return f"; an image's mean own share is {float(torch.cat(own).mean()):.2f} ({law})"


def columns(config: PretrainConfig, train: ImageSet, images: int) -> list[grid.Column]:
    """Make the columns: the originals, the query's view in each of the first epochs, and the key's view in the first.

    The images are one batch: the first epoch's views are those of the run's first step, where its batch is as large.
    A partner in a note is the row of the image that was mixed in.
    """
    chosen = [index for _, index in next(iter(Epochs(len(train), batch=images, epochs=1, seed=config.seed)))]
    centre = Crops(train, train.labels, [CentreCrop(config.size)], seed=config.seed)
    (originals,), _, _ = centre.__getitems__([(0, index) for index in chosen])
    names = [f"{row}: {train.classes[train.labels[index]]}" for row, index in enumerate(chosen, start=1)]
    drawn = [grid.Column("original", _cells(originals.float() / 255, names))]
    keys, ask = [], _ask(config, train, chosen)
    for epoch in range(EPOCHS):
        query, key = _column(config, train, chosen, epoch, ask)
        drawn.append(query)
        keys.append(key)
    return drawn + [key for key in keys[:1] if key is not None]


def _ask(config: PretrainConfig, train: ImageSet, chosen: list[int]) -> inputs.Ask | None:
    """Make what asks the network as it is before the first step; None where the augmentation asks nothing."""
    asked = augment.asked(config.aug)
    if not asked:
        return None
    alone = config.replace({"bn_splits": 1, "sync_bn": False, "compile": False, "precision": "fp32"})
    trainer = Trainer(alone, max(len(train), config.recipe.batch), len(train.classes), "cpu")
    names = None if config.label_list is None else config.label_list.lines()
    labels = torch.tensor(TrainingSet.of(train, fraction=config.labels_used, names=names, seed=config.seed).labels)[chosen]
    given = Batch((), (), labels, torch.arange(len(chosen)), trainer.progress(0), both=config.aug_views == "both")
    return lambda clean: guides(trainer.learner, replace(given, clean=clean), asked, shared=False)[0]


def _column(
    config: PretrainConfig, train: ImageSet, chosen: list[int], epoch: int, ask: inputs.Ask | None
) -> tuple[grid.Column, grid.Column | None]:
    """Make the query's and the key's view of an epoch as a training step makes them; no key, if the method has one view."""
    images = cache.as_kept(train, config.cache, side=config.kept_side, reduced=config.reduced_decode)
    batch, _, _ = inputs.crops(config, images, train.labels).__getitems__([(epoch, index) for index in chosen])
    make = inputs.Inputs.of(config)
    torch.manual_seed(inputs.step_seed(config.seed, epoch, stream=inputs.LEARNER))
    views, clean = make.made(batch, inputs.generator(config.seed, epoch), ask)
    columns = [
        grid.Column(f"{view.name}, epoch {epoch + 1}", _cells(inputs.denormalised(seen.images), _notes(seen, before)))
        for view, seen, before in zip(make.views, views, clean, strict=True)
    ]
    return columns[0], columns[1] if len(columns) > 1 else None


def _notes(seen: Mixed, clean: Tensor) -> list[str]:
    """Say what was blended into each image, or which fraction of it was erased; empty where nothing was."""
    erased = (seen.images != clean).any(dim=1).float().mean(dim=(1, 2)).tolist()
    notes = [f"{fraction:.0%} erased" if fraction else "" for fraction in erased]
    if seen.sources is None or seen.weights is None:
        return notes
    # Row i: the fraction of every image of the batch in image i.
    fractions = torch.zeros(len(clean), len(clean)).scatter_add_(1, seen.sources, seen.weights)
    for row, parts in enumerate(fractions):
        others = [f"{parts[other]:.0%} of row {other + 1}" for other in parts.nonzero().flatten().tolist() if other != row]
        if others:
            notes[row] = " + ".join([f"{parts[row]:.0%}", *others])
    return notes


def _cells(images: Tensor, notes: list[str]) -> list[grid.Cell]:
    """Make cells of images (N, 3, S, S) in [0, 1]; values outside, such as noise, are clipped."""
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [grid.Cell(np.ascontiguousarray(one), note) for one, note in zip(pixels, notes, strict=True)]
