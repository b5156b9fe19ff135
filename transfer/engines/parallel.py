"""Models in several processes: wrapped for training, and bare for everything else."""

from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretrain.core import distributed


def together(model: nn.Module, device: torch.device) -> nn.Module:
    """Average the model's gradients over all processes; before each step its statistics become the first process's."""
    if distributed.world() == 1:
        return model
    return DistributedDataParallel(model, device_ids=None if device.type == "cpu" else [device])


def bare(model: nn.Module) -> Any:
    """Return the model without what averages its gradients over processes."""
    return model.module if isinstance(model, DistributedDataParallel) else model
