"""How far what a network's norms see is from what their running statistics say they saw in training.

Shapes: N images of S × S pixels, L batch norms.
"""

import contextlib

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

LEAST = 1e-6
"""Smallest distance, so that it has a logarithm."""


class _ReachedError(Exception):
    """Ends a forward pass at the first norm."""


def norms(network: nn.Module) -> list[_BatchNorm]:
    """List the batch norms of a network."""
    return [module for module in network.modules() if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm))]


def first(network: nn.Module, images: Tensor) -> float:
    """Return the distance at the norm that images reach first.

    Args:
        network: In eval mode.
        images: (N, 3, S, S), normalised.
    """
    found: list[float] = []

    def stop(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        found.append(_distance(layer, inputs[0]))
        raise _ReachedError

    hooks = [layer.register_forward_pre_hook(stop) for layer in norms(network)]
    with contextlib.suppress(_ReachedError):
        network(images)
    for hook in hooks:
        hook.remove()
    return found[0]


def each(network: nn.Module, images: Tensor) -> Tensor:
    """Return the distances (L,) at all norms; the network is changed: its norms then take the images' own statistics.

    So each norm hands on what it handed on in training, as far as mean and variance go, and only what is between two norms
    adds to the distance: images of another kind, which shift all layers, hardly do.

    Args:
        network: On the images' device; its running statistics stay as they are.
        images: (N, 3, S, S), normalised.
    """
    found: list[float] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        found.append(_distance(layer, inputs[0]))

    for layer in norms(network):
        layer.register_forward_pre_hook(note)
        layer.train().momentum = 0.0
    network(images)
    return torch.tensor(found, dtype=torch.float64)


def _distance(norm: _BatchNorm, values: Tensor) -> float:
    """Return the median over channels of the divergence (Kullback and Leibler) of two normal distributions, in nats.

    The median, because some channels of most networks are dead.
    """
    mean, variance = values.mean((0, 2, 3)).double(), values.var((0, 2, 3)).double()
    expected, wide = (_kept(tensor).double() for tensor in (norm.running_mean, norm.running_var))
    ratio, shift = (variance + norm.eps) / (wide + norm.eps), (mean - expected).square() / (wide + norm.eps)
    return max(float((ratio + shift - 1 - ratio.log()).div(2).median()), LEAST)


def _kept(statistics: Tensor | None) -> Tensor:
    assert statistics is not None, "every norm here keeps its statistics"
    return statistics
