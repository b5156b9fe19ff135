"""What a training holds in memory: its state, and what autograd keeps for a backward pass."""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

MIB = 2**20


def size(tensors: Iterable[Tensor]) -> int:
    """Count the bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def state(held: Iterable[Tensor], trained: Iterable[Tensor], moments: int) -> int:
    """Count the bytes of all tensors that are held, and of gradients and the optimiser's moments of those that are trained."""
    return size(held) + (1 + moments) * size(trained)


@contextlib.contextmanager
def keeping() -> Iterator[dict[int, int]]:
    """Collect what autograd keeps of the forward passes inside: address of its storage → bytes."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def beside(kept: dict[int, int], held: Iterable[Tensor]) -> int:
    """Count the bytes that were kept, without those of tensors that are held anyway."""
    for tensor in held:
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(kept.values())
