"""`bench views`: what the network will see, to be looked at before it is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import grid
from bench.verbs import Request
from bench.verbs.pretrain import configuration, find
from pretrain import inputs
from pretrain.augment.mixed import Mixed
from pretrain.config import PretrainConfig
from pretrain.core.errors import ConfigError, DataError
from pretrain.core.journal import Journal
from pretrain.images import cache
from pretrain.images.crops import CentreCrop
from pretrain.images.imageset import ImageSet
from pretrain.images.loading import Crops, Epochs

EPOCHS = 3
"""Epochs of which the query's view is drawn."""
MOST = 64
"""Rows of a grid at most."""


def run(request: Request, options: Mapping[str, Any], out: Path, images: int) -> str:
    """Draw a grid; `options` are fields of `PretrainConfig`, as for `bench pretrain`. Returns what was drawn, in words.

    Raises:
        BenchError: For whatever is wrong with the input, before anything is written.
    """
    grid.check(out)
    if not 1 <= images <= MOST:
        raise ConfigError("can't draw that many images", seen=images, allowed=f"1 to {MOST}")
    _, config = configuration(request, options, request.device_name())
    _, data, _ = find(request, config)
    train = data.train
    if len(train) < images:
        raise DataError(f"fewer images than asked for in {train.root}", seen=len(train), fix=f"lower --images to {len(train)}")
    title = f"{config.aug} on {config.recipe.pipeline}, {config.size} px, seed {config.seed}"
    grid.draw(title, columns(config, train, images)).save(out, format="PNG")
    return f"{out}: {images} images, {title}"


def columns(config: PretrainConfig, train: ImageSet, images: int) -> list[grid.Column]:
    """The originals, the query's view in each of the first epochs, and the key's view in the first.

    The images are one batch: the first epoch's views are those of the run's first step, where its batch is as large.
    A partner in a note is the row of the image that was mixed in.
    """
    chosen = [index for _, index in next(iter(Epochs(len(train), batch=images, epochs=1, seed=config.seed)))]
    centre = Crops(train, train.labels, [CentreCrop(config.size)], seed=config.seed)
    (originals,), _, _ = centre.__getitems__([(0, index) for index in chosen])
    names = [f"{row}: {train.classes[train.labels[index]]}" for row, index in enumerate(chosen, start=1)]
    drawn = [grid.Column("original", _cells(originals.float() / 255, names))]
    keys = []
    for epoch in range(EPOCHS):
        query, key = _column(config, train, chosen, epoch)
        drawn.append(query)
        keys.append(key)
    return drawn + [key for key in keys[:1] if key is not None]


def _column(config: PretrainConfig, train: ImageSet, chosen: list[int], epoch: int) -> tuple[grid.Column, grid.Column | None]:
    """The query's and the key's view of an epoch, made as a training step makes them."""
    # What is kept is what is decoded now, resized alike.
    images = cache.open_images(
        train, None, side=config.kept_side, reduced=config.reduced_decode, num_workers=0, journal=Journal()
    )
    batch, _, _ = inputs.crops(config, images, train.labels).__getitems__([(epoch, index) for index in chosen])
    make = inputs.Inputs.of(config)
    views, clean = make.made(batch, inputs.generator(config.seed, epoch, "cpu"))
    columns = [
        grid.Column(f"{view.name}, epoch {epoch + 1}", _cells(inputs.denormalised(seen.images), _notes(seen, before)))
        for view, seen, before in zip(make.views, views, clean, strict=True)
    ]
    return columns[0], columns[1] if len(columns) > 1 else None


def _notes(seen: Mixed, clean: Tensor) -> list[str]:
    """What was blended into each image, or how much of it was erased; empty where nothing was."""
    erased = (seen.images != clean).any(dim=1).float().mean(dim=(1, 2)).tolist()
    notes = [f"{share:.0%} erased" if share else "" for share in erased]
    if seen.sources is None or seen.weights is None:
        return notes
    shares = torch.zeros(len(clean), len(clean)).scatter_add_(1, seen.sources, seen.weights)  # of each image in each
    for row, of_row in enumerate(shares):
        others = [f"{of_row[other]:.0%} of row {other + 1}" for other in of_row.nonzero().flatten().tolist() if other != row]
        if others:
            notes[row] = " + ".join([f"{of_row[row]:.0%}", *others])
    return notes


def _cells(images: Tensor, notes: list[str]) -> list[grid.Cell]:
    """Of images (N, 3, S, S) in [0, 1]; what lies outside, such as noise, is clipped."""
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [grid.Cell(np.ascontiguousarray(one), note) for one, note in zip(pixels, notes, strict=True)]
