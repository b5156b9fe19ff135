"""The files pre-training leaves: the backbone with where it came from, and the state to go on from.

Both are written whole or not at all, and read with `weights_only=True`, so that opening one runs no code.
"""

import os
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pretrain.settings import Settings

BACKBONE_FORMAT = "bench-backbone/1"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Supervision = Literal["self", "semi", "full", "none", "unknown"]


class Provenance(Settings):
    """Where a backbone came from: what makes one row of the leaderboard."""

    method: str
    """For instance `mocov2`; `random` for an untrained one, `unknown` where the file doesn't say."""
    aug: str = "unknown"
    """Augmentation on top of the base pipeline: a name of the augmentation table, or several joined by `+`."""
    supervision: Supervision = "unknown"
    """How labels were used."""
    label_fraction: float | None = None
    """Share of the images whose label was used, 0 to 1; null where unknown."""
    arch: str
    """For instance `resnet50`."""
    data: str = "unknown"
    """Name of the pre-training images."""
    data_fingerprint: str | None = None
    """Fingerprint of the pre-training images."""
    epochs: float | None = None
    """Passes over the images; null where unknown."""
    seed: int | None = None
    """Seed of the run; rows that differ in nothing else are repetitions."""
    settings: str | None = None
    """Digest of every setting that changes the numbers, apart from those above."""


def save_atomically(payload: Any, path: Path) -> None:
    """`torch.save` that leaves either the old file or the whole new one, also when the process is killed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(payload, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_backbone(path: Path, state: dict[str, Tensor], provenance: Provenance) -> None:
    """Write a backbone: torchvision's names without `fc`, RGB images normalised with ImageNet's mean and std."""
    payload = {
        "format": BACKBONE_FORMAT,
        "arch": provenance.arch,
        "state_dict": {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        "provenance": provenance.model_dump(mode="json"),
        "preprocess": {"order": "RGB", "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
    }
    save_atomically(payload, path)
