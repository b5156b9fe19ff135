"""Base pipelines and augmentations make the same views on both devices, for they are drawn on the CPU."""

import torch

from parts import Check, crops, farthest, trainer
from pretrain import augment
from pretrain.augment.pipelines import PIPELINES
from pretrain.batch import Batch

LIMIT = 2e-4
"""Of values of about ±2.6, before anything that is all or nothing."""
SMOOTH = {"solarize": 0}
"""Without what turns a rounding error into another pixel."""
SIZES = {True: {"size": 96, "batch": 32}, False: {"size": 32, "batch": 8}}
"""On a GPU, and in a rehearsal."""
STEPS = 2


def check(check: Check) -> None:
    """Views, partners and shares of each pipeline without its thresholds, also fused, and of each quiet augmentation."""
    cases = [(name, {"pipeline": name, "pipeline_options": SMOOTH, "key_pipeline_options": SMOOTH}) for name in PIPELINES]
    cases += [(f"{name}, fused", {**fields, "fused_views": True}) for name, fields in cases]
    cases += [(name, {"aug": name}) for name in augment.AUGMENTATIONS if not augment.asked(name)]
    for name, fields in cases:
        own, others = (trainer(device, **SIZES[check.gpu], **fields) for device in ("cpu", check.device))
        for step in range(STEPS):
            made = []
            for run in (own, others):
                labels = torch.arange(run.recipe.batch, device=run.device) % 4
                images = [crop.to(run.device) for crop in crops(run, step)]
                made.append(run.batch(images, labels, run.progress(step)))
            _compare(check, name, *made)


def _compare(check: Check, name: str, own: Batch, other: Batch) -> None:
    worst = max(farthest(b.images, a.images) for a, b in zip(own.views, other.views, strict=True))
    check.close(name, max(worst, check.values.get(name, 0.0)), LIMIT)
    for a, b in zip(own.views, other.views, strict=True):
        if a.sources is not None:
            check.require(torch.equal(a.sources.cpu(), b.sources.cpu()), f"{name}: other partners")
    check.require(torch.equal(own.order.cpu(), other.order.cpu()), f"{name}: another order")
