"""`random:ARCH` and `random:ARCH:SEED`: an untrained backbone."""

import torch

from pretrain import backbones
from pretrain.backbones import BACKBONES
from pretrain.core.errors import CheckpointError
from pretrain.core.journal import Journal
from pretrain.provenance import UNTRAINED, Provenance
from transfer.sources.backbone import Backbone, digest

CLASSES = 1000
"""Outputs of the classifier that is drawn with a random backbone, as torchvision and timm draw it."""


def find(checkpoint: str, journal: Journal) -> Backbone:
    """Draw the weights that the library's own model has after that seed.

    Raises:
        CheckpointError: For an unknown architecture, or a seed that is no number.
    """
    _, arch, *rest = checkpoint.split(":")
    if arch not in BACKBONES:
        raise CheckpointError.unknown("architecture", arch, BACKBONES)
    if len(rest) > 1 or (rest and not rest[0].isdigit()):
        raise CheckpointError("not a random backbone", seen=checkpoint, allowed="random:ARCH or random:ARCH:SEED")
    seed = int(rest[0]) if rest else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk, _ = backbones.get(arch).build(CLASSES)
    state = trunk.state_dict()
    return Backbone(arch, state, untrained(arch, seed), digest(state), "random", why=f"untrained, seed {seed}")


def untrained(arch: str, seed: int) -> Provenance:
    """Return where an untrained backbone comes from."""
    return Provenance(
        method=UNTRAINED, aug="none", supervision="none", label_fraction=0.0, arch=arch, data="none", epochs=0, seed=seed
    )
