"""Prove that Detectron2's model is the backbone, by its modules and without importing it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from pretrain import backbones
from transfer.convert import to_detectron2
from transfer.prove import prove, reference
from transfer.sources import Backbone
from transfer.tasks.detection import DetectionSettings

BACKBONE = ("backbone.bottom_up.", "backbone.stem.", "backbone.res", *(f"roi_heads.res5.{block}." for block in range(3)))
"""Beginnings of the backbone's names in Detectron2's detectors."""


def set_eps(model: nn.Module, eps: float | None) -> None:
    """Set what the norms of the backbone in a detector add to a variance, in place; None: they stay as they are."""
    for name, module in model.named_modules():
        if f"{name}.".startswith(BACKBONE):
            backbones.set_eps(module, eps)


def proven(backbone: Backbone, model: nn.Module, settings: DetectionSettings) -> dict[str, float]:
    """Compare the trainer's own model, before training, with the backbone, on the CPU, where it is exact."""
    copied: Any = copy.deepcopy(model).cpu()
    copied.eval()
    body = copied.backbone.bottom_up if settings.family == "fpn" else copied.backbone
    stages = list(body.stages)
    state: dict[str, Tensor] = dict(body.state_dict())
    if settings.family == "c4":
        last = nn.Sequential(*(block for name, block in copied.roi_heads.res5.named_children() if name != "norm"))
        stages.append(last)
        state |= {f"res5.{key}": value for key, value in last.state_dict().items()}

    def features(images: Tensor) -> list[Tensor]:
        x, outputs = body.stem(images), []
        for stage in stages:
            x = stage(x)
            outputs.append(x)
        return outputs

    names = dict(zip(to_detectron2(backbone.state), backbone.state, strict=True))
    with torch.random.fork_rng(devices=[]):  # the reference draws its initial weights; the run's numbers stay those of its seed
        expected = reference(backbone)
    heads = [key for key in copied.state_dict() if not key.startswith(BACKBONE)]
    return prove(backbone, {names.get(key, key): value for key, value in state.items()}, features, expected, new=heads)
