"""Prove that MMSegmentation's model is the backbone, by its modules and without importing it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from transfer.engines.mmseg.model import DILATIONS, STRIDES
from transfer.prove import prove, reference
from transfer.sources import Backbone
from transfer.tasks.segmentation import SegmentationSettings


def proven(backbone: Backbone, model: nn.Module, settings: SegmentationSettings) -> dict[str, float]:
    """Compare the runner's own backbone, before training, with the one given, on the CPU, where it is exact."""
    copied: Any = copy.deepcopy(model.backbone).cpu()
    copied.eval()

    def features(images: Tensor) -> list[Tensor]:
        return list(copied(images))

    heads = [key for key in model.state_dict() if not key.startswith("backbone.")]
    with torch.random.fork_rng(devices=[]):  # the reference draws its initial weights; the run's numbers stay those of its seed
        expected = reference(backbone, strides=STRIDES, dilations=(*DILATIONS[:-1], settings.last_dilations))
    return prove(backbone, copied.state_dict(), features, expected, new=heads)
