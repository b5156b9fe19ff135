"""The files pre-training leaves: the backbone with where it came from, and the state to go on from.

Both are written whole or not at all, and read with `weights_only=True`, so that opening one runs no code.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretrain.atomic import replacing
from pretrain.provenance import Provenance

BACKBONE_FORMAT = "bench-backbone/1"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def save_atomically(payload: Any, path: Path) -> None:
    """`torch.save` that leaves either the old file or the whole new one, also when the process is killed."""
    with replacing(path) as file:
        torch.save(payload, file)


def save_backbone(
    path: Path, state: dict[str, Tensor], provenance: Provenance, *, projector: dict[str, Tensor] | None = None
) -> None:
    """Write a backbone: torchvision's names without `fc`, RGB images normalised with ImageNet's mean and std.

    `projector` is the head of its pre-training, for those who measure behind it: names of an `nn.Linear` (`weight`) or of an
    `nn.Sequential` of layers with ReLU between (`0.weight`, `2.weight`).
    """
    payload = {
        "format": BACKBONE_FORMAT,
        "arch": provenance.arch,
        "state_dict": {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        "provenance": provenance.model_dump(mode="json"),
        "projector": {name: tensor.detach().cpu().contiguous() for name, tensor in (projector or {}).items()},
        "preprocess": {"order": "RGB", "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
    }
    save_atomically(payload, path)
