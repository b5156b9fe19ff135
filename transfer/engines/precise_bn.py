"""Precise BN: statistics of the population in place of running averages (fvcore, `fvcore/nn/precise_bn.py`)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.core import distributed

LAYERS = (nn.BatchNorm2d, nn.SyncBatchNorm)


class _Population:
    """Compute mean and variance over all batches that a layer has seen, as if they were one.

    Where BN is synchronised each batch counts once in every process, with the number of values there (as in fvcore).
    """

    def __init__(self, layer: nn.BatchNorm2d | nn.SyncBatchNorm) -> None:
        self.layer = layer
        self.seen = 0
        self.count = 0
        self.mean = torch.zeros_like(_buffer(layer.running_mean))
        self.square = torch.zeros_like(self.mean)

    def note(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Count the values per channel of a batch, before the layer runs."""
        self.count = inputs[0].numel() // inputs[0].shape[1]

    def add(self) -> None:
        """Add the batch's statistics after the pass: at momentum 1 they are the running ones (with an unbiased variance)."""
        if self.count == 0:
            return
        mean, variance = _buffer(self.layer.running_mean), _buffer(self.layer.running_var)
        self.seen += self.count
        fraction = self.count / self.seen
        square = mean.square() + variance * ((self.count - 1) / self.count)
        self.mean += (mean - self.mean) * fraction
        self.square += (square - self.square) * fraction
        self.count = 0

    def join(self) -> None:
        """Add the statistics of the other processes."""
        if distributed.world() == 1:
            return
        seen = distributed.gather(torch.tensor([self.seen], device=self.mean.device))
        fraction = (seen / seen.sum().clamp(min=1))[:, None].to(self.mean.dtype)
        self.mean = (distributed.gather(self.mean[None]) * fraction).sum(dim=0)
        self.square = (distributed.gather(self.square[None]) * fraction).sum(dim=0)
        self.seen = int(seen.sum())

    def write(self) -> None:
        """Put the population's statistics into the layer."""
        if self.seen:
            _buffer(self.layer.running_mean).copy_(self.mean)
            _buffer(self.layer.running_var).copy_(self.square - self.mean.square())


@torch.no_grad()
def precise_bn(model: nn.Module, forward: Callable[[Any], object], batches: Iterable[Any]) -> None:
    """Set the statistics of every BN layer in training mode from forward passes over `batches`, those of all processes.

    NOTE: a layer that no pass reaches keeps its running statistics; fvcore sets them to 0.
    """
    layers = [module for module in model.modules() if isinstance(module, LAYERS) and module.training]
    momenta = [layer.momentum for layer in layers]
    populations = [_Population(layer) for layer in layers]
    hooks = [each.layer.register_forward_pre_hook(each.note) for each in populations]
    for layer in layers:
        layer.momentum = 1.0
    try:
        for batch in batches:
            forward(batch)
            for each in populations:
                each.add()
    finally:
        for hook in hooks:
            hook.remove()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    for each in populations:
        each.join()
        each.write()


def _buffer(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "every BN layer here tracks its statistics"
    return tensor
