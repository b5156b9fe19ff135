"""What a backbone's file says of the run that made it."""

from typing import Any

from pretrain import backbones
from pretrain.config import PretrainConfig
from pretrain.methods import Statistics
from pretrain.provenance import Drawn, Provenance

SHOWN = frozenset({"method", "aug", "supervision", "label_fraction", "arch", "recipe.epochs", "seed"})
"""Fields of the configuration that a provenance has fields of its own for."""
AUGMENTATION = frozenset({"aug_options", "aug_composition", "aug_views"})
"""Fields that are the augmentation's own; with the method's `blending`."""
STATISTICS = frozenset({"bn_splits", "sync_bn"})
"""Fields whose effect `batch_statistics` says, together with the number of processes."""


def statistics(config: PretrainConfig, processes: int) -> Statistics:
    """Return over which images batch normalisation takes its statistics in a run of that many processes."""
    batch = config.recipe.batch * config.method.together
    if config.sync_bn and processes > 1:
        return Statistics(batch // config.bn_splits, "synchronised")
    parts = processes * config.bn_splits
    if parts == 1:
        return Statistics(batch, "whole batch")
    return Statistics(batch // parts, "shuffled parts" if config.method.shuffles and not config.sync_bn else "parts")


def _normalises_batches(arch: str) -> bool:
    """Return whether an architecture has norms over batches."""
    return any(name.endswith("running_mean") for name in backbones.get(arch).skeleton())


def provenance(
    config: PretrainConfig, *, data: str, fingerprint: str, labelled: float, processes: int, drawn: Drawn | None = None
) -> Provenance:
    """Describe a run.

    Args:
        config: The run.
        data: Name of the training images.
        fingerprint: Their fingerprint.
        labelled: Fraction of them that keep their label.
        processes: How many work together.
        drawn: What their classes were drawn from; None where they weren't.
    """
    published = PretrainConfig.published(config.method.name).replace({"precision": "fp32"})
    different = {name: value for name, value in config.differences(published).items() if name not in SHOWN | STATISTICS}
    own = AUGMENTATION | {f"method.{name}" for name in config.method.blending}
    rest: dict[str, Any] = {name: value for name, value in different.items() if name not in own}
    seen, wanted = statistics(config, processes), config.method.statistics
    if wanted is not None and not seen.same(wanted) and _normalises_batches(config.arch):
        rest["batch_statistics"] = str(seen)
    rest |= config.method.apart(processes, labelled)
    return Provenance(
        method=config.method.name,
        method_version=config.method.version,
        aug=config.aug,
        supervision=config.supervision,
        label_fraction=labelled if config.labels_used is None else config.labels_used,
        arch=config.arch,
        data=data,
        data_fingerprint=fingerprint,
        drawn=drawn,
        epochs=config.recipe.epochs,
        seed=config.seed,
        augmentation={name: value for name, value in different.items() if name in own},
        changed=rest,
    )
